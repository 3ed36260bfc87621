package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

const (
	moveTime = 30 * time.Second       // until a move that was asked for is given up on
	movePoll = 200 * time.Millisecond // between two looks at the control log
)

func clusterMove(p pool) *cobra.Command {
	wait := moveTime
	cmd := &cobra.Command{
		Use: "move TOPIC PARTITION NODE", Short: "Have a partition's owner give it to another agent, and wait until it did",
		Args: names("TOPIC", "PARTITION", "NODE"),
	}
	cmd.Flags().DurationVar(&wait, "timeout", wait, "`DURATION` to wait")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		index, err := strconv.ParseInt(args[1], 10, 32)
		if err != nil || index < 0 {
			return usagef("%s is no partition", args[1])
		}
		if wait <= 0 {
			return usagef("--timeout: %v is no time to wait", wait)
		}
		return p.change(cmd, func(ctx context.Context, e *cluster.Engine) error {
			began := time.Now()
			m := move{topic: args[0], index: int32(index), node: args[2]}
			done, err := m.ask(ctx, e)
			if err == nil && !done {
				err = m.await(ctx, e, wait)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), m.told(e.State(), done, time.Since(began)))
			return err
		})
	}
	return cmd
}

// move is a partition that should go to another agent.
type move struct {
	topic string
	index int32
	node  string

	before control.Assignment
	to     *control.Journal
}

// find looks the partition and the agent up.
func (m *move) find(s *control.State) error {
	t, ok := s.TopicByName(m.topic)
	switch {
	case !ok:
		return fmt.Errorf("no topic %s", m.topic)
	case m.index >= t.Partitions():
		return fmt.Errorf("%s has %s, no %d", m.topic, count(int64(t.Partitions()), "partition"), m.index)
	}
	to, err := agentNamed(s, m.node)
	if err != nil {
		return err
	}
	m.before, m.to = t.Owner(m.index), to
	if to.Draining && m.before.Journal != to.ID {
		return fmt.Errorf("node %d is draining", to.NodeID)
	}
	return nil
}

// ask appends MOVE, unless the agent is the owner already.
func (m *move) ask(ctx context.Context, e *cluster.Engine) (done bool, err error) {
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		if err := m.find(s); err != nil || m.before.Journal == m.to.ID {
			return nil, err
		}
		return []control.Record{control.Move{Partition: m.before.Partition, Epoch: m.before.Epoch, ToJournal: m.to.ID}}, nil
	})
	return err == nil && len(outcomes) == 0, err
}

// await waits until the partition has an epoch above the one that the move was asked for.
func (m *move) await(ctx context.Context, e *cluster.Engine, wait time.Duration) error {
	limit := time.After(wait)
	var unread error
	for {
		now, ok := e.State().Owner(m.before.Partition)
		switch {
		case !ok:
			return fmt.Errorf("%s was deleted meanwhile", m.topic)
		case now.Epoch > m.before.Epoch && now.Journal != m.to.ID:
			return fmt.Errorf("%s went to %s instead, at epoch %d", m.name(), nodeOf(e.State(), now.Journal), now.Epoch)
		case now.Epoch > m.before.Epoch:
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit:
			return errors.Join(fmt.Errorf("%s has not moved within %v: %s owns it still, at epoch %d; it was asked to and may do so later",
				m.name(), wait, nodeOf(e.State(), now.Journal), now.Epoch), unread)
		case <-time.After(movePoll):
		}
		if unread = e.CatchUp(ctx); unread != nil {
			unread = fmt.Errorf("the control log could not be read: %w", oneLine(unread))
		}
	}
}

func (m *move) name() string { return fmt.Sprintf("%s/%d", m.topic, m.index) }

func (m *move) told(s *control.State, done bool, took time.Duration) string {
	now, _ := s.Owner(m.before.Partition)
	if done {
		return fmt.Sprintf("%s is node %d's already, at epoch %d", m.name(), m.to.NodeID, now.Epoch)
	}
	return fmt.Sprintf("%s moved from %s to node %d in %v, at epoch %d from offset %d on",
		m.name(), nodeOf(s, m.before.Journal), m.to.NodeID, took.Round(10*time.Millisecond), now.Epoch, now.Base)
}

// nodeOf names the agent of a journal.
func nodeOf(s *control.State, id topic.JournalID) string {
	j, ok := s.Journal(id)
	if !ok {
		return "journal " + id.String()
	}
	return fmt.Sprintf("node %d", j.NodeID)
}
