local a={1000,3600000}
local b={type="string"}
local c={0,253402300799}
local d={"grpc","grpcs","http","https"}
return{name="keyauth",fields={
{protocols={type="set",required=true,default=d,elements={type="string",one_of=d}}},
{config={type="record",required=true,fields={
{key_names={type="array",required=true,default={"apikey"},elements={type="string",match="^[%w_%-]+$",err="bad header name, allowed characters are A-Z, a-z, 0-9, '_', and '-'"}}},
{key_in_header={type="boolean",required=true,default=true}},
{key_in_query={type="boolean",required=true,default=true}},
{key_in_body={type="boolean",required=true,default=false}},
{hide_credentials={type="boolean",required=true,default=false}},
{anonymous={type="string",len_min=0}},
{run_on_preflight={type="boolean",required=true,default=true}},
{realm={type="string"}},
{identity_realms={type="array",elements={type="record",fields={
{scope={type="string",default="cp",one_of={"cp","realm"}}},
{id={type="string",uuid=true}},
{region={type="string"}}}}}},
{stores={type="array",required=true,default={"node"},len_min=1,elements={type="string",one_of={"node","postgres","admin_api","redis"}}}},
{credentials={type="array",default={},elements={type="record",fields={
{digest={type="string",required=true,match_any={patterns={"^sha256::[%w_%-]+$","^hmac%-sha256:[^:]+:[%w_%-]+$"},err="must be sha256::DIGEST or hmac-sha256:PEPPER-ID:DIGEST, the digest in base64url"}}},
{consumer={type="string",required=true}},
{id={type="string",uuid=true}},
{expires_at={type="integer",between=c}},
{not_before={type="integer",between=c}},
{disabled={type="boolean",default=false}},
{groups={type="array",elements=b}},
{scopes={type="array",elements=b}},
{cidrs={type="array",elements=b}},
{hint={type="string"}}}}}},
{file={type="string"}},
{snapshot={type="string",default="<kong-prefix>/keyauth/keys.jsonl",len_min=0}},
{pepper={type="string",len_min=16,referenceable=true,encrypted=true}},
{previous_peppers={type="array",default={},elements={type="string",len_min=16,referenceable=true,encrypted=true}}},
{postgres={type="record",fields={
{dsn={type="string",referenceable=true,encrypted=true}},
{workspace={type="string",default="default"}},
{pool={type="integer",default=8,between={1,1000}}},
{timeout_ms={type="integer",default=3000,between={100,60000}}}}}},
{admin_api={type="record",fields={
{url={type="string",match="^https?://[^/]",err="must start with https:// or http:// and name a host, for instance https://kong.internal:8444"}},
{token={type="string",referenceable=true,encrypted=true}},
{token_header={type="string",default="Kong-Admin-Token"}},
{interval_ms={type="integer",default=10000,between=a}},
{timeout_ms={type="integer",default=60000,between={1000,600000}}},
{ca={type="string",referenceable=true}},
{cert={type="string",referenceable=true}},
{key={type="string",referenceable=true,encrypted=true}},
{server_name={type="string"}}}}},
{redis={type="record",fields={
{url={type="string",match="^rediss?://[^/]",err="must start with rediss:// or redis:// and name a host, for instance redis://USER:PASSWORD@redis.internal:6379/0",referenceable=true,encrypted=true}},
{prefix={type="string",default="keyauth:"}},
{timeout_ms={type="integer",default=1000,between={10,60000}}},
{ca={type="string",referenceable=true}},
{cert={type="string",referenceable=true}},
{key={type="string",referenceable=true,encrypted=true}},
{server_name={type="string"}}}}},
{cache_ttl_ms={type="integer",default=60000,between=a}},
{cache_size={type="integer",default=100000,between={100,10000000}}},
{negative_ttl_ms={type="integer",default=5000,between={0,3600000}}},
{stale_ms={type="integer",default=30000,between={0,3600000}}},
{throttle={type="record",fields={
{failures={type="integer",default=0,between={0,1000000}}},
{window_s={type="integer",default=60,between={1,86400}}},
{pause_s={type="integer",default=60,between={1,86400}}}}}},
{max_body_bytes={type="integer",default=1048576,between={0,104857600}}},
{compat={type="string",default="3.9",one_of={"3.9","2.8","0.x"}}}}}}}}
