// Package remote is what the collector tells the plugin: the configuration with sampling rates and cohorts, and the
// governance rules. A Source fetches both documents and keeps the last good ones on disk; a Snapshot is one immutable
// state of them, which answers two questions of the request path without locks and without any call: is this request
// blocked, and at which rate is it kept.
//
// A document that cannot be used never replaces one that can, and a part that cannot be read costs that part alone. What
// decides whether somebody is blocked is never guessed: a rule whose conditions or cohort are unreadable does not apply.
package remote
