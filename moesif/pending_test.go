package moesif

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func newTestPending() (p *pending[string], lost map[string]int) {
	lost = map[string]int{}
	return newPending(func(s string) int { return len(s) }, func(reason string) { lost[reason]++ }), lost
}

func TestPending(t *testing.T) {
	p, lost := newTestPending()
	assert.True(t, p.put("a", "1"))
	assert.True(t, p.put("b", "2"))
	assert.True(t, p.put("a", "3"), "a repeated event replaces what it left the first time")
	v, ok := p.take("a")
	assert.True(t, ok)
	assert.Equal(t, "3", v)
	_, ok = p.take("a")
	assert.False(t, ok, "only once")
	_, ok = p.take("b")
	assert.True(t, ok)
	assert.Zero(t, p.bytes)
	assert.Zero(t, p.order.Len())
	assert.Empty(t, lost)
}

func TestPendingExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, lost := newTestPending()
		p.put("a", "1")
		time.Sleep(pendingTime / 2)
		p.put("b", "2")
		time.Sleep(pendingTime / 2)
		p.put("c", "3")
		assert.Equal(t, map[string]int{lostExpired: 1}, lost)
		_, ok := p.take("a")
		assert.False(t, ok)
		_, ok = p.take("b")
		assert.True(t, ok)
	})
}

func TestPendingIsBounded(t *testing.T) {
	p, lost := newTestPending()
	for i := range pendingCount + 5 {
		p.put(strconv.Itoa(i), "")
	}
	assert.Equal(t, map[string]int{lostFull: 5}, lost)
	assert.Equal(t, pendingCount, p.order.Len())

	p, lost = newTestPending()
	half := string(make([]byte, pendingBytes/2))
	assert.True(t, p.put("a", half[:len(half)-10]))
	assert.True(t, p.put("b", half[:len(half)-10]))
	assert.False(t, p.put("c", half))
	assert.Equal(t, map[string]int{lostFull: 1}, lost)
}

// What is expected when log looks for it is waited for, and nothing else.
func TestPendingExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPending()
		mine, other := p.expect(), p.expect()
		go func() {
			time.Sleep(10 * time.Millisecond)
			p.put("a", "1")
			mine()
			time.Sleep(10 * time.Millisecond)
			other()
			p.put("late", "2")
		}()
		start := time.Now()
		v, ok := p.await("a")
		assert.True(t, ok)
		assert.Equal(t, "1", v)
		assert.Equal(t, 20*time.Millisecond, time.Since(start))

		synctest.Wait()
		third := p.expect()
		start = time.Now()
		_, ok = p.await("late")
		assert.True(t, ok, "what is there is taken at once")
		assert.Zero(t, time.Since(start))
		_, ok = p.take("none")
		assert.False(t, ok)
		assert.Zero(t, time.Since(start))
		_, ok = p.await("none")
		assert.False(t, ok)
		assert.Equal(t, expectTime, time.Since(start), "what does not come is not waited for in earnest")
		third()
		start = time.Now()
		_, ok = p.await("none")
		assert.False(t, ok)
		assert.Zero(t, time.Since(start))
		assert.Empty(t, p.expected)
	})
}
