package keyauth

// A result is what became of a request; each has its counter.
type result uint8

const (
	accepted      result = iota
	anonymous            // the request goes on as the anonymous consumer
	earlier              // another plugin has authenticated the request, and either is enough
	preflight            // OPTIONS, which needs no key
	missing              // no key, or an empty one
	repeated             // several values where one key is expected
	unknown              // no store has the key
	expired              // and the ones below: the key is known and not good here and now
	early                //
	disabled             //
	foreign              // from an address that the key is not for
	outOfScope           //
	orphaned             // its consumer does not exist
	throttled            // too many wrong keys from this address
	unreadable           // a body that cannot be read, where that is an answer of its own
	storeFailed          // and the ones below: 500
	noAnonymous          //
	misconfigured        //
	broken               // Kong gave no answer, or one that cannot be read
	results              // how many there are
)

// names of results in metrics; index = result.
var resultNames = [results]string{ // read-only
	"accepted", "anonymous", "authenticated_before", "preflight", "no_key", "duplicate", "unknown", "expired", "not_yet_valid", "disabled",
	"address", "scope", "no_consumer", "throttled", "unreadable_body", "store_error", "no_anonymous_consumer", "config_error", "kong_error",
}

// isClients reports whether the request is refused for what the client sent, which the anonymous consumer may take over.
// A failure of ours never becomes anonymous.
func (r result) isClients() bool { return missing <= r && r < throttled }
