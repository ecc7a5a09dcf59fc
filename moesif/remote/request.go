package remote

import (
	"bytes"
	"strings"

	"kong-go-plugins/moesif/rawjson"
)

// A Request is what is known of one request. Only the facts that Snapshot.Needs names have to be filled in; an empty one
// has no value, and a condition on it does not hold. A Request is for one goroutine. Its body is parsed once: it may come
// later than the rest, but must not change.
type Request struct {
	User    string // id, "" when not identified
	Company string // id, "" when not identified

	Verb        string
	Route       string // path without the query
	IP          string
	Header      func(name string) string // one request header, "" for none; may be nil
	ContentType string                   // of the request
	Body        []byte                   // of the request, content codings undone; nil when it is not known
	Status      int                      // of the response, 0 while it is not known

	parsed  bool
	objects [][]byte            // of a JSON body: itself, or the elements of an array
	members map[string][]string // what was looked up in them
}

const (
	opaque = iota // conditions cannot look into it
	graphQLText
	jsonText
)

// ReadsBody reports whether conditions can look into a body of this Content-Type.
func ReadsBody(contentType string) bool { return bodyKind(contentType) != opaque }

// bodyKind says by the media type, without its parameters, how conditions read a body. Of a header that was sent several
// times the first type that can be read counts: nobody knows which one the upstream takes.
func bodyKind(contentType string) int {
	for part := range strings.SplitSeq(contentType, ",") {
		media, _, _ := strings.Cut(part, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		switch {
		case media == "application/graphql":
			return graphQLText
		case media == "application/json", strings.HasSuffix(media, "+json"):
			return jsonText
		}
	}
	return opaque
}

// inBody returns the values of the body's member. A JSON array is a batch with the values of all its objects, so that
// nobody escapes a rule by sending two operations at once.
func (r *Request) inBody(name string) []string {
	if r.Body == nil {
		return nil
	}
	switch bodyKind(r.ContentType) {
	case graphQLText:
		if name == "query" && len(r.Body) > 0 {
			return []string{string(r.Body)}
		}
	case jsonText:
		r.parse()
		values, known := r.members[name]
		if !known {
			for _, object := range r.objects {
				if value, ok := text(lookup(object, name)); ok {
					values = append(values, value)
				}
			}
			if r.members == nil {
				r.members = map[string][]string{}
			}
			r.members[name] = values
		}
		return values
	}
	return nil
}

func (r *Request) parse() {
	if r.parsed {
		return
	}
	r.parsed = true
	body := bytes.TrimPrefix(r.Body, []byte("\xef\xbb\xbf"))
	if !rawjson.Readable(body) { // nobody escapes a rule by nesting deeply, or by a byte that is not UTF-8
		return
	}
	if rawjson.IsObject(body) {
		r.objects = [][]byte{body}
		return
	}
	rawjson.Elements(body, func(value []byte) {
		if rawjson.IsObject(value) {
			r.objects = append(r.objects, value)
		}
	})
}

// lookup returns the member of an object: the one of exactly this name, else where the name leads as a path with dots.
// Of several of one name the last counts, as for most servers. It returns nil for none.
func lookup(object []byte, name string) (found []byte) {
	rawjson.Members(object, func(n string, value []byte) {
		if n == name {
			found = value
		}
	})
	if found != nil {
		return found
	}
	first, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil
	}
	return lookup(member(object, first), rest)
}
