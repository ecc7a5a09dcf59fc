package datakit

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kong-go-plugins/datakit/fetch"
	"kong-go-plugins/datakit/kv"
	"kong-go-plugins/datakit/token"
	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/schema"
)

// An Engine is what all configurations of a process share: compiled plans, clients, caches.
type Engine struct {
	schema  schema.Plugin
	report  func(key, text string)
	plans   *pluginserver.Registry[[sha256.Size]byte, compiled]
	jqSlots chan struct{} // bounds the programs that run at the same time, and so their memory
	client  *fetch.Client
	caches  *pluginserver.Registry[string, *kv.Cache]
	keys    token.Keys
	states  *states
	stats   *stats
	phases  *flag.Flag // -phases; nil under other servers

	settings *gatewaySettings
}

type compiled struct {
	plan *Plan
	err  error
}

func (c compiled) close() {
	if c.plan != nil {
		c.plan.close()
	}
}

// planGrace keeps plans over a change of the configuration, which starts all instances anew.
const planGrace = time.Minute

// NewEngine returns an engine that tells the operator through report, whose key is one per cause.
func NewEngine(report func(key, text string)) *Engine {
	return &Engine{
		schema:  Schema(),
		report:  report,
		plans:   pluginserver.NewRegistry[[sha256.Size]byte, compiled](planGrace, compiled.close),
		jqSlots: make(chan struct{}, 4*runtime.GOMAXPROCS(0)),
		caches:  pluginserver.NewRegistry[string](planGrace, func(c *kv.Cache) { _ = c.Close() }),
		client:  fetch.New(fetch.Options{}),
		states:  newStates(),
		stats:   newStats(),

		settings: &gatewaySettings{},
	}
}

// Close ends what the engine holds.
func (e *Engine) Close(context.Context) error {
	e.plans.Close()
	e.caches.Close()
	e.client.Close()
	return nil
}

func (e *Engine) register(r prometheus.Registerer) { e.stats.register(r) }

// plan returns the compiled plan of a configuration; equal configurations share one.
func (e *Engine) plan(c *Config) (p *Plan, release func(), err error) {
	if c.decoded != nil { // what did not fit is not in c, so that c is no key
		p, err := e.compileGuarded(c)
		return p, compiled{p, err}.close, err
	}
	text, err := json.Marshal((*plainConfig)(c))
	if err != nil {
		return nil, nil, err
	}
	got, release := e.plans.Acquire(sha256.Sum256(text), func() compiled {
		p, err := e.compileGuarded(c)
		return compiled{p, err}
	})
	return got.plan, release, got.err
}

// compileGuarded is compile; a defect of ours is a wrong configuration.
func (e *Engine) compileGuarded(c *Config) (p *Plan, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, errors.New("the configuration cannot be compiled: a defect of the plugin")
		}
	}()
	return e.compile(c)
}

// Compile checks a configuration, the JSON text of config, and makes its plan. Problems takes the error apart.
func (e *Engine) Compile(config []byte) (*Plan, error) {
	c := New(e)
	if err := c.UnmarshalJSON(config); err != nil {
		return nil, err
	}
	return c.resolve()
}

// accessOnly reports whether the plugin was started without a response phase.
func (e *Engine) accessOnly() bool {
	if e.phases == nil || e.phases.Value.String() == "" {
		return false
	}
	return !slices.Contains(strings.FieldsFunc(e.phases.Value.String(), func(r rune) bool { return r == ',' || r == ' ' }), "response")
}
