package keyauth

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A lasting failure is one cause, whatever port each new connection has: the operator is told once a minute.
func TestFailuresOfStoresAreOneCause(t *testing.T) {
	causes := map[string]int{}
	g := NewGate(func(cause, _ string) { causes[cause]++ })
	for port := range 10 {
		err := fmt.Errorf("store redis: %w", errors.Join(fmt.Errorf("read tcp 10.0.0.1:5000%d->10.0.0.2:6379: i/o timeout", port), errors.New("again")))
		g.reportStore(err)
	}
	assert.Equal(t, map[string]int{
		"keys cannot be looked up, requests are answered with 500: store redis: read tcp 10.0.0.2:6379: i/o timeout; again": 10,
	}, causes)
}
