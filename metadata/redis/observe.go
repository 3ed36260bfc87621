package redis

import (
	"context"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// observed tells of round trips to Redis: one for each command, and one for all of a pipeline. What waits for news, as the
// doorbell's subscription does, is none.
type observed func(took time.Duration, answered bool)

var _ goredis.Hook = observed(nil)

// DialHook implements goredis.Hook.
func (o observed) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements goredis.Hook.
func (o observed) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		o(time.Since(began), answered(err))
		return err
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (o observed) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		o(time.Since(began), answered(err))
		return err
	}
}

// answered says whether an error is one that Redis itself told: then it is there.
func answered(err error) bool {
	var told goredis.Error
	return err == nil || errors.As(err, &told)
}
