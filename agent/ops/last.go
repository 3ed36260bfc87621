package ops

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// mostLines is how many lines Last keeps.
const mostLines = 200

// Last keeps the newest lines of a log from Warn on, for who comes to look. Safe for concurrent use; the zero value is ready.
type Last struct {
	mu    sync.Mutex // guards lines
	lines [][]byte   // oldest first, at most mostLines
}

// Write takes one line, as a slog.Handler writes it.
func (l *Last) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == mostLines {
		l.lines = append(l.lines[:0], l.lines[1:]...)
	}
	l.lines = append(l.lines, bytes.Clone(line))
	return len(line), nil
}

// Lines gives what is kept, oldest first.
func (l *Last) Lines() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Join(l.lines, nil)
}

// Keep makes a handler that passes everything on and keeps what is Warn or worse.
func (l *Last) Keep(next slog.Handler) slog.Handler {
	return keeper{next, slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn})}
}

// keeper hands records to two handlers.
type keeper struct{ next, kept slog.Handler }

// Enabled implements slog.Handler.
func (k keeper) Enabled(ctx context.Context, level slog.Level) bool {
	return k.next.Enabled(ctx, level) || k.kept.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (k keeper) Handle(ctx context.Context, r slog.Record) error {
	if k.kept.Enabled(ctx, r.Level) {
		_ = k.kept.Handle(ctx, r.Clone()) // it writes to memory
	}
	if !k.next.Enabled(ctx, r.Level) {
		return nil
	}
	return k.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (k keeper) WithAttrs(attrs []slog.Attr) slog.Handler {
	return keeper{k.next.WithAttrs(attrs), k.kept.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (k keeper) WithGroup(name string) slog.Handler {
	return keeper{k.next.WithGroup(name), k.kept.WithGroup(name)}
}
