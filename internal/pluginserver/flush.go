package pluginserver

import "github.com/Kong/go-pdk"

// Flush sends the setters that were answered locally and waits until Kong has carried them out. A handler calls it
// before a side effect of its own that must not happen when Kong refuses one of them: the error says that Kong ended
// the event. It costs a round trip; without it the setters leave with the next question or the end of the event.
// Under another server every setter has waited already, and Flush does nothing.
func Flush(kong *pdk.PDK) error {
	e := eventOf(kong)
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != running {
		return e.gone()
	}
	return e.flight()
}
