package ops

import (
	"io"
	"log/slog"

	"github.com/odradek/odradek/agent/settings"
)

// NewLog makes the agent's logger on w: one line an event, as text or JSON, from the level of the settings on.
func NewLog(w io.Writer, log settings.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: log.Level}
	if log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
