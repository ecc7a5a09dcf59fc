package keyauth

import (
	"strings"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
)

// A search is what was asked of Kong about one request, and what it has found.
type search struct {
	found found
	name  *keyName
	key   string

	query query // what was asked for
	asked bool  // whether the headers were

	bodyErr error // why the body could not be searched
}

// Variables of nginx.
const (
	argsVariable = "args"
	typeVariable = "content_type"
)

// maxHeaders is how many headers are looked at: Kong's largest limit.
const maxHeaders = 1000

// firstQuestions are what is certain to be asked of every request: they leave together.
func (s *settings) firstQuestions() (list []pluginserver.Question) {
	if !s.preflight {
		list = append(list, pluginserver.AskVar(methodVariable))
	}
	if s.anonymous != "" {
		list = append(list, pluginserver.AskCtx(credentialCtxKey))
	}
	if n := s.quickName(); n != nil {
		list = append(list, pluginserver.AskVar(n.variable))
	}
	if s.hide || s.inQuery && s.quickName() == nil {
		list = append(list, pluginserver.AskVar(argsVariable))
	}
	if s.inBody {
		list = append(list, pluginserver.AskVar(typeVariable))
	}
	if s.limit.failures > 0 {
		list = append(list, pluginserver.AskVar(addressVariable))
	}
	return list
}

// quickName is the name whose header is asked for by its variable, at a third of the price of all headers: the first of
// the configuration. It is nil where the variable would not do.
func (s *settings) quickName() *keyName {
	if !s.inHeader || len(s.names) == 0 {
		return nil
	}
	n := &s.names[0]
	if n.header == "cookie" { // nginx joins these by another sign than a comma
		return nil
	}
	return n
}

// look searches the request. A variable holds all headers of its name, joined by commas: without one, and not empty, it is
// the only key of that name, which is where the search ends. Else everything that the configuration wants to be searched is
// asked for, in one flight more.
func (s *settings) look(kong *pdk.PDK) (r search, err error) {
	n := s.quickName()
	if n != nil {
		r.key, err = pluginserver.Var(kong, n.variable)
		if err != nil {
			return r, err
		}
		if r.key != "" && strings.IndexByte(r.key, ',') < 0 {
			r.found, r.name, r.key = oneKey, n, s.withoutScheme(r.key)
			return r, s.readAlong(kong, &r, false)
		}
		if r.key == "" && !s.inQuery && !s.inBody && len(s.names) == 1 {
			return r, nil // absent or empty: no key
		}
	}
	if err = s.readAlong(kong, &r, true); err == nil {
		r.found, r.name, r.key = s.find(&r.query)
	}
	return r, err
}

// readAlong asks for what is to be searched, or only for what the key is to be taken out of.
func (s *settings) readAlong(kong *pdk.PDK, r *search, all bool) (err error) {
	wantHeaders := s.inHeader && all || s.hide && s.manySpellings
	wantArgs := s.hide || s.inQuery && all
	contentType := ""
	if s.inBody && (s.hide || all) {
		if contentType, err = pluginserver.Var(kong, typeVariable); err != nil {
			return err
		}
	}
	wantBody := kindOfBody(contentType) != noBody

	var questions []pluginserver.Question
	if wantHeaders {
		questions = append(questions, pluginserver.AskHeaders(maxHeaders))
	}
	if wantArgs {
		questions = append(questions, pluginserver.AskVar(argsVariable))
	}
	if wantBody {
		questions = append(questions, pluginserver.AskRequestBody())
	}
	if len(questions) > 1 {
		pluginserver.Prefetch(kong, questions...)
	}
	if wantHeaders {
		if r.query.headers, err = pluginserver.Headers(kong, maxHeaders); err != nil {
			return err
		}
		r.asked = true
	}
	if wantArgs {
		if r.query.args, err = pluginserver.Var(kong, argsVariable); err != nil {
			return err
		}
	}
	if wantBody {
		var text []byte
		text, _, r.bodyErr = pluginserver.RequestBody(kong, s.maxBody)
		r.query.body = newBody(contentType, string(text))
	}
	return nil
}
