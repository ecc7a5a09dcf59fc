package token

import "testing"

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"} {
		key := any(secret)
		if name := keyOf(alg); name != "" {
			key = publicPEM(name)
		}
		token := made(b, alg, `{"alg":"`+alg+`","typ":"JWT"}`, `{"iss":"https://issuer.example","sub":"user-1","aud":["api"],"exp":9999999999}`)
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			var keys Keys
			o := VerifyOptions{CheckExpiry: true, Issuers: []string{"https://issuer.example"}}
			for b.Loop() {
				if _, err := keys.Verify(token, key, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		key := any(secret)
		if name := keyOf(alg); name != "" {
			key = privatePEM(name)
		}
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			var keys Keys
			for b.Loop() {
				if _, err := keys.Sign(map[string]any{"sub": "user-1"}, key, SignOptions{Algorithm: alg, ExpiresIn: 300}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
