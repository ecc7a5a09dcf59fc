package datakit

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// signAndVerify makes a token and checks it with the same key, then answers with what came out of both.
const signAndVerify = `
resources: {vault: {key: zebra-zebra-zebra-zebra-zebra-zebra}}
debug: true
nodes:
- {name: CLAIMS, type: jq, jq: '{sub: "me", id: 12345678901234567890, iss: "dynamic", exp: 1}'}
- {name: SIGN, type: jwt_sign, algorithm: HS256, expires_in: 60, not_before: -5, kid: k1, static_claims: {iss: kong, aud: api}, inputs: {claims: CLAIMS, key: vault.key}}
- {name: VERIFY, type: jwt_verify, allowed_algorithms: [HS256], issuers: [dynamic], audiences: [api], required_claims: [sub], leeway: 1, inputs: {token: SIGN.token, key: vault.key}}
- {name: DECODE, type: jwt_decode, input: SIGN.token}
- {name: ALL, type: jq, jq: ".", inputs: {claims: VERIFY.claims, header: VERIFY.header, payload: DECODE.payload, sameHeader: DECODE.header, signed: SIGN.claims, signedHeader: SIGN.header}}
- {name: EXIT, type: exit, inputs: {body: ALL}}
`

func TestJWTNodes(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, signAndVerify)
	synctest.Test(t, func(t *testing.T) { // the clock stands at 946684800
		o := p.Access(t.Context(), &testHost{}, true)
		require.Nil(t, o.Failure)
		const claims = `{"sub":"me","id":12345678901234567890,"iss":"dynamic","aud":"api","iat":946684800,"exp":946684860,"nbf":946684795}`
		const header = `{"alg":"HS256","typ":"JWT","kid":"k1"}`
		var got map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(o.Answer.Body, &got))
		for _, name := range []string{"claims", "payload", "signed"} {
			assert.JSONEq(t, claims, string(got[name]), name)
			assert.Contains(t, string(got[name]), "12345678901234567890", name)
		}
		for _, name := range []string{"header", "sameHeader", "signedHeader"} {
			assert.JSONEq(t, header, string(got[name]), name)
		}

		trace, err := json.Marshal(o.Trace)
		require.NoError(t, err)
		assert.NotContains(t, string(trace), "zebra")
		assert.NotContains(t, string(trace), "eyJ", "no token, no part of one")
	})
}

// verifyHeader is a workflow that verifies the request's token with the secret zebra.
const verifyHeader = `
resources: {vault: {key: zebra}}
nodes:
- {name: TOKEN, type: jq, input: request.headers, jq: '.Authorization'}
- {name: VERIFY, type: jwt_verify, inputs: {token: TOKEN, key: vault.key}}
- {name: EXIT, type: exit, inputs: {body: VERIFY.claims}}
`

func TestJWTVerifyNodeFails(t *testing.T) {
	t.Parallel()
	verify := mustCompile(t, verifyHeader)
	sign := mustCompile(t, `
resources: {vault: {key: zebra}}
nodes:
- {name: SIGN, type: jwt_sign, algorithm: HS256, expires_in: 60, inputs: {key: vault.key}}
- {name: EXIT, type: exit, inputs: {body: SIGN.token}}
`)
	synctest.Test(t, func(t *testing.T) {
		token := string(sign.Access(t.Context(), &testHost{}, false).Answer.Body)
		ask := func(authorization ...string) *Outcome {
			return verify.Access(t.Context(), &testHost{request: Message{Header: map[string][]string{"authorization": authorization}}}, false)
		}
		o := ask("bearer " + token)
		require.Nil(t, o.Failure)
		assert.JSONEq(t, `{"iat":946684800,"exp":946684860,"nbf":946684800}`, string(o.Answer.Body))

		for _, c := range []struct{ token, want string }{
			{"Bearer " + token[:len(token)-9] + "AAAA" + token[len(token)-5:], "token: the signature does not fit the key"},
			{"Bearer", "token: does not have three parts with dots between them"},
			{"Bearer eyJhbGciOiJub25lIn0.e30.", "token: the header names no known algorithm"},
		} {
			o := ask(c.token)
			require.NotNil(t, o.Failure, c.token)
			assert.Equal(t, `node #2 (VERIFY) failed with error: "`+c.want+`"`, o.Failure.Error())
		}
		assert.Contains(t, ask().Failure.Error(), `node #2 (VERIFY) failed with error: "token: is null"`)
		assert.Contains(t, ask(token, token).Failure.Error(), "expected string, got array")

		time.Sleep(time.Minute)
		assert.Contains(t, ask(token).Failure.Error(), "claims: exp is past: the token has expired")
	})
}

func TestJWTNodesConfig(t *testing.T) {
	t.Parallel()
	const links = `inputs: {token: request.body, key: request.body}`
	for name, c := range map[string]struct{ node, want string }{
		"no algorithm":                {`{name: S, type: jwt_sign, inputs: {key: request.body}}`, "nodes[0].algorithm: required: one of HS256"},
		"none":                        {`{name: S, type: jwt_sign, algorithm: none, inputs: {key: request.body}}`, `algorithm: "none" is none of HS256`},
		"none is allowed nowhere":     {`{name: V, type: jwt_verify, allowed_algorithms: [HS256, none], ` + links + `}`, `nodes[0].allowed_algorithms[1]: "none" is none of HS256`},
		"no key to sign":              {`{name: S, type: jwt_sign, algorithm: HS256}`, "key"},
		"no key to verify":            {`{name: V, type: jwt_verify, inputs: {token: request.body}}`, "key"},
		"no token":                    {`{name: V, type: jwt_verify, inputs: {key: request.body}}`, "token"},
		"a claim that is a number":    {`{name: S, type: jwt_sign, algorithm: HS256, static_claims: {n: 1}, inputs: {key: request.body}}`, "static_claims.n: expected a string, got number"},
		"issuers as a text":           {`{name: V, type: jwt_verify, issuers: me, ` + links + `}`, "issuers: expected a list of strings"},
		"negative leeway":             {`{name: V, type: jwt_verify, leeway: -1, ` + links + `}`, "leeway: -1 is not a whole number"},
		"half a second":               {`{name: S, type: jwt_sign, algorithm: HS256, expires_in: 0.5, inputs: {key: request.body}}`, "expires_in: 0.5 is not a whole number"},
		"an option of another":        {`{name: D, type: jwt_decode, leeway: 1, input: request.body}`, "leeway: unknown field"},
		"nothing to decode":           {`{name: D, type: jwt_decode}`, "input"},
		"no output of that name":      {`{name: D, type: jwt_decode, input: request.body, outputs: {claims: response.body}}`, "claims"},
		"lists from a Lua table pass": {`{name: V, type: jwt_verify, issuers: {}, audiences: {}, typo: 1, ` + links + `}`, "typo: unknown field"},
	} {
		_, err := compileText(t, "["+c.node+"]")
		if assert.Error(t, err, name) {
			assert.Contains(t, strings.ReplaceAll(err.Error(), " ("+c.node[7:8]+")", ""), c.want, name)
			assert.Len(t, strings.Split(strings.TrimSpace(err.Error()), "\n"), 1, name)
		}
	}
}
