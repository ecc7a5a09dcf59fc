package store

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Check says what is wrong with the options, as far as neither a file nor a server can put it right.
func (o RedisOptions) Check() error {
	u, err := parseRedisURL(o.URL)
	if err != nil {
		return fmt.Errorf("redis.url: %w", err)
	}
	if o.TLS != (TLSOptions{}) && u.TLSConfig == nil {
		return errors.New("redis.url: there are certificates, but the address is without TLS; write rediss://")
	}
	if err := o.TLS.Check(); err != nil {
		return fmt.Errorf("redis.%w", err)
	}
	return nil
}

// parseRedisURL reads the address of a server, of sentinels, or of some nodes of a cluster:
//
//	redis://USER:PASSWORD@HOST:6379/DATABASE
//	redis+sentinel://USER:PASSWORD@HOST:26379,HOST:26379/MASTER/DATABASE?sentinel_username=USER&sentinel_password=PASSWORD
//	redis+cluster://USER:PASSWORD@HOST:6379,HOST:6379
//
// rediss instead of redis is with TLS, for sentinels too. Its errors show nothing of the address, which holds a password.
func parseRedisURL(text string) (*redis.UniversalOptions, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	protocol, kind, _ := strings.Cut(scheme, "+")
	o := &redis.UniversalOptions{IsClusterMode: kind == "cluster"}
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
	}
	switch {
	case protocol == "rediss":
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	case protocol != "redis":
		scheme = ""
	}
	if scheme == "" || strings.Contains(scheme, "+") && kind != "cluster" && kind != "sentinel" {
		return nil, errors.New("want redis://USER:PASSWORD@HOST:6379/0, redis+sentinel://HOST:26379,HOST:26379/MASTER or " +
			"redis+cluster://HOST:6379,HOST:6379; rediss instead of redis is with TLS")
	}
	authority, path, params := rest, "", ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
		path, params, _ = strings.Cut(path, "?")
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		var wrong [2]error
		o.Username, wrong[0] = url.PathUnescape(user)
		o.Password, wrong[1] = url.PathUnescape(password)
		if wrong != [2]error{} || strings.Contains(authority[:i], "@") {
			return nil, errEncodePassword
		}
		authority = authority[i+1:]
	}
	for text := range strings.SplitSeq(authority, ",") {
		address, err := hostPort(text, port)
		if err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, address)
	}
	if kind == "" && len(o.Addrs) > 1 {
		return nil, errors.New("it names several servers; write redis+sentinel:// or redis+cluster://, or name one")
	}
	if err := setRedisPath(o, kind, path); err != nil {
		return nil, err
	}
	return o, setRedisParams(o, kind, params)
}

var errEncodePassword = errors.New("it cannot be read; write special characters of the password in percent form: %40 for @, %3A for :, %2F for /, %25 for %")

// hostPort reads one server's address.
func hostPort(text, port string) (string, error) {
	u := url.URL{Host: text}
	if u.Port() != "" {
		port = u.Port()
	}
	n, err := strconv.Atoi(port)
	again, parsed := url.Parse("redis://" + text)
	if u.Hostname() == "" || err != nil || n < 1 || n > 65535 || parsed != nil || again.Host != text {
		return "", errEncodePassword
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// setRedisPath reads what stands behind the servers: the master's name, the database's number.
func setRedisPath(o *redis.UniversalOptions, kind, path string) (err error) {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if kind == "sentinel" {
		if len(parts) == 0 {
			return errors.New("the name of the master is missing, which the sentinels know it by; write redis+sentinel://HOST:26379/MASTER")
		}
		if o.MasterName, err = url.PathUnescape(parts[0]); err != nil {
			return errEncodePassword
		}
		parts = parts[1:]
	}
	if len(parts) == 0 {
		return nil
	}
	if o.DB, err = strconv.Atoi(parts[0]); err != nil || o.DB < 0 || len(parts) > 1 {
		return errors.New("behind the last / should be the number of a database; if that is a part of the password, write %2F for / there")
	}
	if kind == "cluster" && o.DB != 0 {
		return errors.New("a cluster has one database only; leave its number out")
	}
	return nil
}

// setRedisParams reads the query.
func setRedisParams(o *redis.UniversalOptions, kind, query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errEncodePassword
	}
	if kind == "sentinel" {
		o.SentinelUsername, o.SentinelPassword = values.Get("sentinel_username"), values.Get("sentinel_password")
		values.Del("sentinel_username")
		values.Del("sentinel_password")
	}
	if len(values) > 0 {
		return errors.New("it has parameters that are not known; only redis+sentinel:// has some, sentinel_username and sentinel_password")
	}
	return nil
}
