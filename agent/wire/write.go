package wire

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/odradek/odradek/trace"
)

// write makes the replies in the order of their requests and sends them. It ends when the queue is closed and empty.
// A connection that was given up still empties its queue, so that every frame is released.
func (c *conn) write(alive context.Context) {
	for p := range c.queue {
		err := alive.Err()
		if err == nil {
			if err = c.answer(alive, p); err != nil {
				c.end(err)
				c.cancel() // the reply is missing: none may follow it
			}
		}
		c.inFlight.Add(-1)
		c.done(p, err)
	}
}

func (c *conn) answer(alive context.Context, p pending) error {
	reply, err := makeReply(alive, p)
	if err != nil {
		return refuse(err)
	}
	if len(reply) == 0 {
		return nil
	}
	return c.send(reply)
}

func makeReply(alive context.Context, p pending) (reply net.Buffers, err error) {
	defer recovered(&err)
	return p.reply(trace.With(alive, p.span))
}

// writeAtOnce is how many bytes of a reply must leave within StallTimeout: a slow reader gets its answer, a reader
// that stopped is let go.
const writeAtOnce = 256 << 10

// send writes the length and the buffers. They are not copied: a vectored write takes them from where they are.
func (c *conn) send(reply net.Buffers) error {
	size := 0
	for _, b := range reply {
		size += len(b)
	}
	if size > math.MaxInt32 {
		return fmt.Errorf("reply of %d bytes", size)
	}
	var length [lengthBytes]byte
	binary.BigEndian.PutUint32(length[:], uint32(size))
	began := time.Now()
	left := append(net.Buffers{length[:]}, reply...)
	for len(left) > 0 {
		var part net.Buffers
		part, left = cutBuffers(left, writeAtOnce)
		if err := c.net.SetWriteDeadline(time.Now().Add(c.server.cfg.StallTimeout)); err != nil {
			return err
		}
		if _, err := part.WriteTo(c.net); err != nil {
			return err
		}
	}
	c.info.Sent(size, time.Since(began))
	c.server.metrics.written.Add(float64(lengthBytes + size))
	return nil
}

// cutBuffers takes the first n bytes off b.
func cutBuffers(b net.Buffers, n int) (head, rest net.Buffers) {
	for i := range b {
		if len(b[i]) < n {
			n -= len(b[i])
			continue
		}
		head = append(head, b[:i]...)
		head = append(head, b[i][:n])
		if n < len(b[i]) {
			return head, append(net.Buffers{b[i][n:]}, b[i+1:]...)
		}
		return head, b[i+1:]
	}
	return b, nil
}
