package collector

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// maxDocumentBytes bounds a document that clients poll for.
const maxDocumentBytes = 10 << 20

// contentTag is a version that changes with the content.
func contentTag(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

// checkDocument says what is wrong with a new answer for /v1/config or /v1/rules.
func checkDocument(kind string, body []byte) error {
	var err error
	form := "a JSON object"
	if kind == "rules" {
		form = "a JSON array"
		err = json.Unmarshal(body, new([]json.RawMessage))
	} else {
		err = json.Unmarshal(body, new(map[string]json.RawMessage))
	}
	if err != nil || bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return fmt.Errorf("%s must be %s: %w", kind, form, cmp.Or(err, errors.New("it is null")))
	}
	return nil
}

// A watchedFile holds what a collector answers. It is read again when it has
// changed.
type watchedFile struct {
	path  string
	size  int64
	at    time.Time
	wrong string // what was told about it last
}

// UseFiles makes files the answers of GET /v1/config and /v1/rules; "" leaves
// one as it is. They are read again whenever they have changed, and their
// versions follow. A file that becomes unreadable, or is no JSON, is told to
// report, and what it held before goes on.
func (c *Collector) UseFiles(config, rules string, report func(error)) error {
	files := map[string]*watchedFile{}
	for kind, path := range map[string]string{"config": config, "rules": rules} {
		if path == "" {
			continue
		}
		files[kind] = &watchedFile{path: path}
		if err := c.readFile(kind, files[kind]); err != nil {
			return fmt.Errorf("collector: %w; name another file with -collector-%s", err, kind)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files, c.report = files, report
	return nil
}

// readFile reads a file that has changed.
func (c *Collector) readFile(kind string, f *watchedFile) error {
	info, err := os.Stat(f.path)
	switch {
	case err != nil:
		return err
	case info.Size() == f.size && info.ModTime().Equal(f.at):
		return nil
	case info.Size() > maxDocumentBytes:
		return fmt.Errorf("%s: %d bytes are too many, %d are possible", f.path, info.Size(), maxDocumentBytes)
	}
	body, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	if err := checkDocument(kind, body); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.size, f.at = info.Size(), info.ModTime()
	if kind == "rules" {
		c.SetRules(string(body), "")
	} else {
		c.SetConfig(string(body), "")
	}
	return nil
}

// refresh reads the files that have changed.
func (c *Collector) refresh() {
	c.filesMu.Lock()
	defer c.filesMu.Unlock()
	c.mu.Lock()
	files, report := c.files, c.report
	c.mu.Unlock()
	for kind, f := range files {
		text := ""
		if err := c.readFile(kind, f); err != nil {
			text = err.Error()
			if text != f.wrong && report != nil {
				report(fmt.Errorf("collector: %w; the %s stays as it was", err, kind))
			}
		}
		f.wrong = text
	}
}

// ControlHandler lets a shell play with the collector: PUT config, rules or
// fault below prefix, GET what is set, DELETE the fault.
func (c *Collector) ControlHandler(prefix string) http.Handler {
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(v)
	}
	document := func(kind string, get func() string, set func(body, tag string)) {
		mux.HandleFunc("GET "+prefix+kind, func(w http.ResponseWriter, _ *http.Request) { show(w, json.RawMessage(get())) })
		mux.HandleFunc("PUT "+prefix+kind, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDocumentBytes))
			if err == nil {
				err = checkDocument(kind, body)
			}
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				show(w, map[string]string{"message": err.Error()})
				return
			}
			set(string(body), "")
			show(w, map[string]string{"tag": contentTag(body)})
		})
	}
	document("config", func() string { return c.answer(false).body }, c.SetConfig)
	document("rules", func() string { return c.answer(true).body }, c.SetRules)
	mux.HandleFunc("GET "+prefix+"fault", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		f := c.fault
		c.mu.Unlock()
		show(w, f)
	})
	mux.HandleFunc("DELETE "+prefix+"fault", func(w http.ResponseWriter, _ *http.Request) {
		c.SetFault(Fault{})
		show(w, Fault{})
	})
	mux.HandleFunc("PUT "+prefix+"fault", func(w http.ResponseWriter, r *http.Request) {
		f, err := readFault(http.MaxBytesReader(w, r.Body, maxDocumentBytes))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			show(w, map[string]string{"message": err.Error()})
			return
		}
		c.SetFault(f)
		show(w, f)
	})
	return mux
}

const faultUsage = `give a JSON object like {"status": 503, "times": 3}, {"hang": true} or {"cut": true}, with "retry_after", "after", "containing" or "all" beside`

// readFault reads a fault from JSON.
func readFault(r io.Reader) (Fault, error) {
	var f Fault
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("fault: %w; %s", err, faultUsage)
	}
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return f, fmt.Errorf("fault: status: %d is outside 200..599; %s", f.Status, faultUsage)
	case f.Times < 0:
		return f, fmt.Errorf("fault: times: %d is negative; 0 is for ever", f.Times)
	case !f.any() && f != (Fault{}):
		return f, fmt.Errorf("fault: none of status, hang and cut is set; %s", faultUsage)
	}
	return f, nil
}
