package group

import (
	"context"
	"time"
)

// Pending is a request that was admitted, or refused at once. Requests for one group are served in the order of their
// admission. The zero value is not used.
type Pending[T any] struct {
	life   *life
	asked  time.Time  // when it was admitted: the proof is to be younger
	answer chan Reply // cap 1
	done   T          // the answer, when life is nil
	err    error      // why there is none
}

// Wait blocks until the answer is there and, where it rests on memory, proved (O1). The error says why there is no
// answer: ErrNotCoordinator, ErrLoadInProgress or the end of ctx; a refusal is the Err of the answer. The end of ctx
// does not take the request back. Wait is called once.
func (p *Pending[T]) Wait(ctx context.Context) (T, error) { return p.wait(ctx, true) }

// Look is Wait without the proof, which asks the bucket: the answer is what this agent has in memory. It is for metrics and decides
// nothing (O1).
func (p *Pending[T]) Look(ctx context.Context) (T, error) { return p.wait(ctx, false) }

func (p *Pending[T]) wait(ctx context.Context, prove bool) (T, error) {
	var none T
	if p.life == nil {
		return p.done, p.err
	}
	r, err := p.reply(ctx)
	if err != nil {
		return none, err
	}
	if prove && r.Prove {
		if err := p.life.shard.c.log.Proof(ctx, p.asked); err != nil {
			return none, notCoordinator(err)
		}
	}
	return r.Body.(T), nil
}

func (p *Pending[T]) reply(ctx context.Context) (Reply, error) {
	select {
	case r := <-p.answer:
		return r, nil
	case <-ctx.Done():
		return Reply{}, ctx.Err()
	case <-p.life.over:
	}
	select {
	case r := <-p.answer: // given before the end
		return r, nil
	default:
		return Reply{}, ErrNotCoordinator
	}
}

func refused[T any](err error) *Pending[T] { return &Pending[T]{err: err} }

func answered[T any](reply T) *Pending[T] { return &Pending[T]{done: reply} }

// admit puts a step into the queue of the group's partition. It blocks only while the queue is full.
func admit[T any](ctx context.Context, l *life, step step) *Pending[T] {
	answer, asked := make(chan Reply, 1), time.Now()
	if err := l.put(ctx, event{step: step, answer: answer}); err != nil {
		return refused[T](err)
	}
	return &Pending[T]{life: l, asked: asked, answer: answer}
}
