package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/odradek/odradek/agent/api"
)

// errDraining ends reading when the server stops.
var errDraining = errors.New("draining")

// refusal is a frame that closes its connection; reason is a metric's label.
type refusal struct {
	reason string
	err    error
}

func (r *refusal) Error() string { return r.reason + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refuse names the reason of what a handler or a reply refuses; other errors end the connection as they are.
func refuse(err error) error {
	reasons := []struct {
		err    error
		reason string
	}{
		{api.ErrMalformed, "malformed"},
		{api.ErrUnsupported, "unsupported"},
		{api.ErrAmplified, "amplified"},
		{api.ErrNoMemory, "memory"},
		{api.ErrNoReply, "no_reply"},
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return &refusal{r.reason, err}
		}
	}
	return err
}

const (
	minFrame    = 8         // key, version, correlation id
	readAtOnce  = 256 << 10 // bytes of a frame that must come within StallTimeout
	lengthBytes = 4
)

// readFrame reads the next frame. Its memory is acquired after its first bytes have come, so that a client that
// announces much and sends nothing holds nothing; while there is none, this connection is not read.
func (c *conn) readFrame(ctx, alive context.Context) (*api.Frame, error) {
	n, err := c.readLength()
	if err != nil {
		return nil, err
	}
	if n < minFrame || n > c.server.cfg.MaxFrame {
		return nil, &refusal{"size", fmt.Errorf("frame of %d bytes, want %d to %d", n, minFrame, c.server.cfg.MaxFrame)}
	}
	if err := c.within(c.server.cfg.StallTimeout); err != nil {
		return nil, err
	}
	if _, err := c.buffered.Peek(min(lengthBytes+n, readBuffer)); err != nil {
		return nil, c.broken(err)
	}
	if err := c.server.acquire(ctx, int64(n)); err != nil {
		if alive.Err() == nil {
			return nil, errDraining
		}
		return nil, err
	}
	b := make([]byte, n)
	frame := api.NewFrame(b, c.server.memory, int64(n))
	_, _ = c.buffered.Discard(lengthBytes)
	defer c.server.arriving.remove(c)
	c.server.arriving.add(c, 0)
	for len(b) > 0 {
		if err := c.within(c.server.cfg.StallTimeout); err != nil {
			frame.Release()
			return nil, err
		}
		got, err := io.ReadFull(c.buffered, b[:min(len(b), readAtOnce)])
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // none of the bytes came: still in the middle of a frame
		}
		if err != nil {
			frame.Release()
			return nil, c.broken(err)
		}
		b = b[got:]
		c.server.arriving.add(c, got)
	}
	c.server.metrics.read.Add(float64(lengthBytes + n))
	return frame, nil
}

// readLength waits for the length of the next frame, and leaves it in the buffer. A connection that waits for replies
// is not idle.
func (c *conn) readLength() (int, error) {
	for {
		if err := c.within(c.server.cfg.IdleTimeout); err != nil {
			return 0, err
		}
		b, err := c.buffered.Peek(lengthBytes)
		if err == nil {
			return int(int32(binary.BigEndian.Uint32(b))), nil
		}
		idle := errors.Is(err, os.ErrDeadlineExceeded) && len(b) == 0
		if idle && c.inFlight.Load() > 0 && !c.draining.Load() {
			continue
		}
		if idle && !c.draining.Load() {
			return 0, io.EOF
		}
		return 0, c.broken(err)
	}
}

// within sets the time for what is read next.
func (c *conn) within(d time.Duration) error {
	if err := c.net.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if c.draining.Load() {
		return errDraining
	}
	return nil
}

// broken explains why a frame did not come whole.
func (c *conn) broken(err error) error {
	var timeout net.Error
	switch {
	case c.draining.Load():
		return errDraining
	case errors.As(err, &timeout) && timeout.Timeout():
		return &refusal{"stalled", err}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF) && c.buffered.Buffered() > 0:
		return &refusal{"truncated", io.ErrUnexpectedEOF}
	}
	return err
}
