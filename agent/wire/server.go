package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/trace"
)

// Handler answers frames. Handle is called by one goroutine per connection, in the order of its requests; the Reply
// it returns is called by another one, in the same order. A nil Reply sends nothing. An error closes the connection
// after the replies to earlier requests.
type Handler interface {
	Handle(ctx context.Context, conn *api.Conn, frame *api.Frame) (api.Reply, error)
}

// Memory bounds the frames of all connections together. *semaphore.Weighted of golang.org/x/sync is one; it must hold
// at least one frame of Config.MaxFrame.
type Memory interface {
	Acquire(ctx context.Context, n int64) error
	TryAcquire(n int64) bool
	Release(n int64)
}

// Config bounds what connections may do.
type Config struct {
	MaxFrame       int           // socket.request.max.bytes
	MaxConnections int           // open at once; above it new ones are closed
	InFlight       int           // requests of one connection that are admitted and not answered
	IdleTimeout    time.Duration // connections.max.idle.ms
	StallTimeout   time.Duration // for the next part of a frame to come, or of a reply to go
	DrainTimeout   time.Duration // for replies to leave when the agent stops
	Traces         trace.Tracer  // records requests; nil: none
}

// DefaultConfig is Kafka's where Kafka has one.
func DefaultConfig() Config {
	return Config{
		MaxFrame:       100 << 20,
		MaxConnections: 10_000,
		InFlight:       64,
		IdleTimeout:    10 * time.Minute,
		StallTimeout:   30 * time.Second,
		DrainTimeout:   5 * time.Second,
	}
}

// Server serves connections of any number of listeners.
type Server struct {
	handler  Handler
	memory   Memory
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	arriving *arriving
	lastID   atomic.Uint64
	open     atomic.Int64
}

// New makes a server and registers its metrics.
func New(handler Handler, memory Memory, cfg Config, log *slog.Logger, registerer prometheus.Registerer) *Server {
	return &Server{handler: handler, memory: memory, cfg: cfg, log: log, metrics: newMetrics(registerer), arriving: newArriving()}
}

// Serve accepts connections until ctx ends, and closes the listener. Then it stops reading, lets the replies to what
// was read leave for at most DrainTimeout, and returns when every connection is closed. The error is nil unless the
// listener broke.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	var conns sync.WaitGroup
	// Connections outlive ctx by the drain, so that what was read is answered.
	alive, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	stopAccepting := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stopAccepting()
	err := s.accept(ctx, listener, func(c net.Conn) {
		conns.Go(func() { s.serve(ctx, alive, c) })
	})
	drained := make(chan struct{})
	go func() {
		conns.Wait()
		close(drained)
	}()
	if err == nil {
		timer := time.NewTimer(s.cfg.DrainTimeout)
		defer timer.Stop()
		select {
		case <-drained:
		case <-timer.C:
			s.log.Warn("connections did not drain in time", "open", s.open.Load())
		}
	}
	kill()
	<-drained
	return err
}

// accept hands connections to start until ctx ends or the listener breaks.
func (s *Server) accept(ctx context.Context, listener net.Listener, start func(net.Conn)) error {
	for {
		c, err := listener.Accept()
		switch {
		case err == nil:
			if s.open.Load() >= int64(s.cfg.MaxConnections) {
				s.metrics.refusedConnections.Inc()
				_ = c.Close()
				continue
			}
			s.open.Add(1)
			start(c)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of file descriptors, or a client that went away between SYN and accept
			s.log.Warn("connection was not accepted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

// acceptPause keeps a listener that answers with errors from spinning.
const acceptPause = 50 * time.Millisecond
