package agent

import "sync/atomic"

// health says why the agent is not ready. Safe for concurrent use.
type health struct {
	reason atomic.Pointer[string] // nil: ready
}

func (h *health) set(reason string) { h.reason.Store(&reason) }
func (h *health) ready()            { h.reason.Store(nil) }

func (h *health) reasons() []string {
	if r := h.reason.Load(); r != nil {
		return []string{*r}
	}
	return nil
}
