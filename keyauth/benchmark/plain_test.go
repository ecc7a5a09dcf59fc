package benchmark

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
)

// plain is the same check of a key in a header as one writes it on go-pdk's own server: all headers, a digest, a map, a
// consumer that is asked for once a minute, the consumer's headers in one call, Exit. It is what keyauth is compared with.
type plain struct {
	Credentials []struct {
		Digest   string `json:"digest"`
		Consumer string `json:"consumer"`
		ID       string `json:"id"`
	} `json:"credentials"`

	once      sync.Once
	byDigest  map[[sha256.Size]byte]int
	mu        sync.Mutex
	consumers map[string]plainConsumer
}

type plainConsumer struct {
	entities.Consumer
	until time.Time
}

func (p *plain) load() {
	p.byDigest, p.consumers = map[[sha256.Size]byte]int{}, map[string]plainConsumer{}
	for i, c := range p.Credentials {
		digest, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(c.Digest, "sha256::"))
		if err == nil && len(digest) == sha256.Size {
			p.byDigest[[sha256.Size]byte(digest)] = i
		}
	}
}

func (p *plain) Access(kong *pdk.PDK) {
	p.once.Do(p.load)
	headers, err := kong.Request.GetHeaders(1000)
	if err != nil {
		kong.Response.ExitStatus(http.StatusInternalServerError)
		return
	}
	keys := headers["apikey"]
	if len(keys) == 0 {
		query, err := kong.Request.GetQuery(1000)
		if err != nil {
			kong.Response.ExitStatus(http.StatusInternalServerError)
			return
		}
		keys = query["apikey"]
	}
	if len(keys) != 1 {
		p.refuse(kong, "No API key found in request")
		return
	}
	i, ok := p.byDigest[sha256.Sum256([]byte(keys[0]))]
	if !ok {
		p.refuse(kong, "Unauthorized")
		return
	}
	c := p.Credentials[i]
	consumer, err := p.consumer(kong, c.Consumer)
	if err != nil || consumer.Id == "" {
		kong.Response.ExitStatus(http.StatusInternalServerError)
		return
	}
	if err := kong.Client.Authenticate(&consumer, &client.AuthenticatedCredential{Id: c.ID, ConsumerId: consumer.Id}); err != nil {
		kong.Response.ExitStatus(http.StatusInternalServerError)
		return
	}
	set := map[string][]string{
		"X-Consumer-ID": {consumer.Id}, "X-Consumer-Username": {consumer.Username}, "X-Credential-Identifier": {c.ID},
		"X-Consumer-Custom-ID": {}, "X-Anonymous-Consumer": {}, "X-Credential-Username": {},
	}
	if consumer.CustomId != "" {
		set["X-Consumer-Custom-ID"] = []string{consumer.CustomId}
	}
	if err := kong.ServiceRequest.SetHeaders(set); err != nil {
		kong.Response.ExitStatus(http.StatusInternalServerError)
	}
}

func (p *plain) consumer(kong *pdk.PDK, name string) (entities.Consumer, error) {
	p.mu.Lock()
	c, ok := p.consumers[name]
	p.mu.Unlock()
	if ok && time.Now().Before(c.until) {
		return c.Consumer, nil
	}
	consumer, err := kong.Client.LoadConsumer(name, true)
	if err == nil {
		p.mu.Lock()
		p.consumers[name] = plainConsumer{consumer, time.Now().Add(time.Minute)}
		p.mu.Unlock()
	}
	return consumer, err
}

func (p *plain) refuse(kong *pdk.PDK, message string) {
	kong.Response.Exit(http.StatusUnauthorized, []byte(`{"message":"`+message+`"}`), map[string][]string{
		"Content-Type": {"application/json; charset=utf-8"}, "WWW-Authenticate": {"Key"},
	})
}
