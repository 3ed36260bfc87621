package verify

import (
	"context"
	"math"

	"github.com/odradek/odradek/topic"
)

// endless stands for the end of a log whose end is found by reading.
const endless = topic.Slot(math.MaxUint64)

// ahead reads the slots [from, to), up to reads of them at once, and calls take for each in order until it says that it
// is enough. It returns when all its reads have.
func ahead[T any](ctx context.Context, from, to topic.Slot, reads int,
	read func(context.Context, topic.Slot) (T, error), take func(topic.Slot, T) (bool, error)) error {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	var queue []chan result
	defer func() {
		cancel()
		for _, c := range queue {
			<-c
		}
	}()
	next := from
	for slot := from; slot < to; slot++ {
		for ; next < to && len(queue) < reads; next++ {
			c, n := make(chan result, 1), next
			queue = append(queue, c)
			go func() {
				v, err := read(ctx, n)
				c <- result{v, err}
			}()
		}
		r := <-queue[0]
		queue = queue[1:]
		if r.err != nil {
			return r.err
		}
		more, err := take(slot, r.value)
		if err != nil || !more {
			return err
		}
	}
	return nil
}
