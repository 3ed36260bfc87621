package ops

import (
	"io"
	"log/slog"

	"github.com/odradek/odradek/agent/settings"
)

// NewLog makes the agent's logger on w: one line an event, as text or JSON, from the level of the settings on. What is a
// warning or worse is kept in last as well; last may be nil.
func NewLog(w io.Writer, log settings.Log, last *Last) *slog.Logger {
	options := &slog.HandlerOptions{Level: log.Level}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if log.Format == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	if last != nil {
		handler = last.Keep(handler)
	}
	return slog.New(handler)
}
