-- The part of Kong's tables that the plugin reads, as they are after Kong's migrations, and a role that may read them.
CREATE TABLE workspaces (id uuid PRIMARY KEY, name text UNIQUE);
CREATE TABLE consumers (id uuid PRIMARY KEY, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), username text,
  custom_id text, tags text[], ws_id uuid REFERENCES workspaces (id), UNIQUE (id, ws_id), UNIQUE (ws_id, username));
CREATE TABLE keyauth_credentials (id uuid PRIMARY KEY, created_at timestamptz DEFAULT now(), consumer_id uuid, key text, tags text[],
  ttl timestamptz, ws_id uuid REFERENCES workspaces (id), UNIQUE (ws_id, key),
  FOREIGN KEY (consumer_id, ws_id) REFERENCES consumers (id, ws_id) ON DELETE CASCADE);
CREATE TABLE cluster_events (id uuid PRIMARY KEY, node_id uuid NOT NULL, at timestamptz NOT NULL, nbf timestamptz,
  expire_at timestamptz NOT NULL, channel text, data text);
INSERT INTO workspaces VALUES ('0dca7a5e-0000-4000-8000-000000000001', 'default');

CREATE ROLE reader LOGIN PASSWORD 'reader-secret';
GRANT SELECT ON keyauth_credentials, consumers, workspaces, cluster_events TO reader;

-- What Kong's Admin API does: POST /consumers, POST and DELETE of a key, with the event that tells the other nodes.
CREATE FUNCTION tell(key text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO cluster_events VALUES (gen_random_uuid(), gen_random_uuid(), now(), NULL, now() + interval '1 hour', 'invalidations',
    'keyauth_credentials:' || key || ':::::0dca7a5e-0000-4000-8000-000000000001') $$;
CREATE FUNCTION make_consumer(name text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO consumers (id, username, ws_id) VALUES (gen_random_uuid(), name, '0dca7a5e-0000-4000-8000-000000000001') $$;
CREATE FUNCTION make_key(name text, key text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO keyauth_credentials (id, consumer_id, key, ws_id)
    SELECT gen_random_uuid(), id, key, ws_id FROM consumers WHERE username = name;
  SELECT tell(key) $$;
CREATE FUNCTION revoke_key(revoked text) RETURNS void LANGUAGE sql AS $$
  DELETE FROM keyauth_credentials WHERE key = revoked;
  SELECT tell(revoked) $$;
