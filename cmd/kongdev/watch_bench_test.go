package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkWatch measures what -v and -record cost, with the moesif plugin behind the gateway.
func BenchmarkWatch(b *testing.B) {
	folder, err := buildMoesif()
	require.NoError(b, err)
	file := filepath.Join(b.TempDir(), "kong.yml")
	require.NoError(b, os.WriteFile(file, []byte("_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\nplugins: [{name: moesif, config: {application_id: a, api_endpoint: \"http://collector.kongdev\"}}]\n"), 0o600))
	for _, c := range []struct {
		name            string
		verbose, record bool
	}{{"plain", false, false}, {"-v", true, false}, {"-record", false, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := settings{file: file, listen: "127.0.0.1:0", admin: "off", console: "off", plugins: folder, workers: 2, ready: readyTimeout, logLevel: "crit", verbose: c.verbose}
			if c.record {
				s.record = filepath.Join(b.TempDir(), "rec.jsonl")
			}
			st, err := start(b.Context(), s, io.Discard)
			require.NoError(b, err)
			defer st.close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := client.Get(st.gateway.URL() + "/ok")
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
