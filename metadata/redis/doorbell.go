package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/odradek/odradek/metadata"
)

const (
	quietTime   = 15 * time.Second       // without a message before the connection is asked whether it lives
	retryFirst  = 100 * time.Millisecond // pause before the first attempt to hear again; doubles
	retryAtMost = 5 * time.Second
)

// Ring implements metadata.Doorbell.
func (s *Store) Ring(ctx context.Context, kinds metadata.Kinds) error {
	if err := s.client.Publish(ctx, s.keys.bell(), kindsText(kinds)).Err(); err != nil {
		return fmt.Errorf("redis ring: %w", classify(err))
	}
	return nil
}

// Listen implements metadata.Doorbell.
func (s *Store) Listen(ctx context.Context, heard func(metadata.Kinds)) error {
	pause := retryFirst
	for {
		err := s.listen(ctx, func(kinds metadata.Kinds) {
			pause = retryFirst
			heard(kinds)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if pause == retryFirst { // once per loss
			s.log.Warn("doorbell lost, listening again", slog.String("error", err.Error()))
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause = min(2*pause, retryAtMost)
	}
}

// listen subscribes on one connection and hears until it breaks.
func (s *Store) listen(ctx context.Context, heard func(metadata.Kinds)) error {
	sub := s.client.Subscribe(ctx, s.keys.bell())
	defer sub.Close()
	unblock := context.AfterFunc(ctx, func() { sub.Close() }) // a Receive under way ends with its connection
	defer unblock()
	asked := false
	for {
		message, err := sub.ReceiveTimeout(ctx, quietTime)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() && !asked {
			asked = true
			err = sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		asked = false
		switch m := message.(type) {
		case *goredis.Subscription:
			heard(metadata.AllKinds)
		case *goredis.Message:
			if kinds, err := strconv.ParseUint(m.Payload, 10, 8); err == nil {
				heard(metadata.Kinds(kinds))
			}
		}
	}
}
