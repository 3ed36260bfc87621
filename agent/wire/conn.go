package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/trace"
)

// conn is one connection. read runs on one goroutine and write on another; only what is atomic is shared.
type conn struct {
	server   *Server
	net      net.Conn
	info     api.Conn
	log      *slog.Logger
	buffered *bufio.Reader
	queue    chan pending // from read to write, in order
	inFlight atomic.Int32 // replies queued or being made
	draining atomic.Bool
	cancel   context.CancelFunc // gives the connection up: replies end, nothing is read or written any more
}

// pending is a request whose reply has its turn later.
type pending struct {
	reply api.Reply
	frame *api.Frame
	api   string
	start time.Time
	span  trace.Span
}

// serve reads and writes one connection until it ends. ctx ends when the server stops: then reading stops and replies
// leave; alive ends when they had their time.
func (s *Server) serve(ctx, alive context.Context, nc net.Conn) {
	defer s.open.Add(-1)
	s.metrics.connections.Inc()
	defer s.metrics.connections.Dec()
	id := s.lastID.Add(1)
	alive, cancel := context.WithCancel(alive)
	defer cancel()
	c := &conn{
		server: s, net: nc, cancel: cancel,
		log:      s.log.With("connection", id, "remote", nc.RemoteAddr().String()),
		buffered: bufio.NewReaderSize(nc, readBuffer),
		queue:    make(chan pending, s.cfg.InFlight),
		info: api.Conn{ID: id, Remote: nc.RemoteAddr(), Local: nc.LocalAddr(),
			OnDrain: func(f func()) func() bool { return context.AfterFunc(ctx, f) }},
	}
	// Closing the socket wakes whoever reads or writes it.
	c.info.GiveUp = func() { c.giveUp("an answer took too long to leave while others waited for memory") }
	closed := context.AfterFunc(alive, func() { _ = nc.Close() })
	defer closed()
	drain := context.AfterFunc(ctx, c.drain)
	defer drain()
	var writer sync.WaitGroup
	writer.Go(func() { c.write(alive) })
	c.end(c.read(ctx, alive))
	close(c.queue)
	writer.Wait()
	_ = nc.Close()
}

// readBuffer is the size of a connection's read buffer. A frame that fills it has shown that it is meant.
const readBuffer = 4 << 10

// drain stops reading. The flag is set before the deadline, and the reader looks at it after it has set its own.
func (c *conn) drain() {
	c.draining.Store(true)
	_ = c.net.SetReadDeadline(time.Unix(1, 0))
}

// end notes why a half of the connection ended. A refused frame lets earlier replies leave; any other end gives the
// connection up. Counting comes first: who sees the connection closed finds it counted.
func (c *conn) end(err error) {
	var r *refusal
	switch {
	case errors.Is(err, errDraining):
	case errors.As(err, &r):
		c.server.metrics.refused.WithLabelValues(r.reason).Inc()
		if r.reason == defect {
			c.log.Error("connection closed by a defect", "error", err)
			break
		}
		c.log.Debug("frame refused", "reason", r.reason, "error", err, "software", c.info.Software)
	default:
		if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.Canceled) {
			c.log.Debug("connection lost", "error", err)
		}
		c.cancel()
	}
}

// read reads frames and has them admitted, in order, until the connection ends, the server stops or a frame is
// refused.
func (c *conn) read(ctx, alive context.Context) error {
	for {
		frame, err := c.readFrame(ctx, alive)
		if err != nil {
			return err
		}
		p := pending{frame: frame, api: api.KeyName(frame.Bytes), start: time.Now()}
		if t := c.server.cfg.Traces; t != nil {
			p.span = t.Begin(p.api, p.start)
			p.span.Number("odradek.frame.bytes", int64(len(frame.Bytes)))
		}
		if p.reply, err = c.admit(trace.With(alive, p.span), frame); err != nil {
			frame.Release()
			p.span.End(err)
			return refuse(err)
		}
		if p.reply == nil {
			c.done(p, nil)
			continue
		}
		c.inFlight.Add(1)
		select {
		case c.queue <- p:
		case <-alive.Done():
			c.inFlight.Add(-1)
			frame.Release()
			p.span.End(alive.Err())
			return alive.Err()
		}
	}
}

// admit calls the handler. A panic of ours is turned into a refusal: it costs one connection and not the agent.
func (c *conn) admit(alive context.Context, frame *api.Frame) (reply api.Reply, err error) {
	defer recovered(&err)
	return c.server.handler.Handle(alive, &c.info, frame)
}

// defect is the reason of a refusal that stands for a panic.
const defect = "panic"

// recovered turns a panic of its caller into a refusal.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = &refusal{defect, fmt.Errorf("%v\n%s", p, debug.Stack())}
	}
}

// done ends a request; err says why there was no reply.
func (c *conn) done(p pending, err error) {
	p.frame.Release()
	p.span.End(err)
	c.server.metrics.seconds.WithLabelValues(p.api).Observe(time.Since(p.start).Seconds())
}
