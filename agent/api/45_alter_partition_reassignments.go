package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(0, 1, (*Router).alterPartitionReassignments) }

// alterPartitionReassignments asks the owners of partitions to move them: the first replica of an assignment is the new
// owner, the others are checked and set aside. The answer comes when what was asked is in the control log; the moves
// follow within moments and cannot be cancelled.
func (rt *Router) alterPartitionReassignments(_ context.Context, c *call, req *kmsg.AlterPartitionAssignmentsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
		r := reassigning{rt: rt, state: rt.Cluster.State(), keepFactor: c.version >= 1 && !req.AllowReplicationFactorChange}
		var moves []Move
		var at []place
		for i, t := range req.Topics {
			out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
			out.Topic = t.Topic
			found, code := findTopic(r.state, false, topic.ID{}, t.Topic)
			for j, p := range t.Partitions {
				rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
				rp.Partition = p.Partition
				m, refused := r.move(found, code, &p)
				if refused != nil {
					rp.ErrorCode, rp.ErrorMessage = refused.code, &refused.message
				} else if m.From != m.To {
					moves, at = append(moves, m), append(at, place{i, j})
				}
				out.Partitions = append(out.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, out)
		}
		if len(moves) == 0 {
			return resp, nil
		}
		ctx, cancel := withTimeout(ctx, c, req.TimeoutMillis)
		defer cancel()
		for k, err := range rt.Moves.Move(ctx, moves) {
			rp := &resp.Topics[at[k].topic].Partitions[at[k].partition]
			rp.ErrorCode, rp.ErrorMessage = rt.code(c, err), messageOf(err)
		}
		return resp, nil
	}, nil
}

// refusal is a code with the text that goes with it.
type refusal struct {
	code    int16
	message string
}

func refuse(e *kerr.Error, format string, args ...any) *refusal {
	return &refusal{e.Code, fmt.Sprintf(format, args...)}
}

// reassigning is one request, judged on one picture of the control state.
type reassigning struct {
	rt         *Router
	state      State
	keepFactor bool // the number of replicas may not change
}

// move reads what is asked for one partition.
func (r *reassigning) move(t Topic, code int16, p *kmsg.AlterPartitionAssignmentsRequestTopicPartition) (Move, *refusal) {
	id := topic.Partition{Topic: t.ID, Index: p.Partition}
	owner, ok := r.state.Owner(id)
	switch {
	case code != 0 || !ok:
		return Move{}, refuse(kerr.UnknownTopicOrPartition, "there is no such partition")
	case p.Replicas == nil:
		return Move{}, r.cancel(id)
	}
	if err := checkReplicas(p.Replicas); err != nil {
		return Move{}, refuse(kerr.InvalidReplicaAssignment, "%s", err)
	}
	for _, replica := range p.Replicas {
		if !r.open(replica) {
			return Move{}, refuse(kerr.InvalidReplicaAssignment, "there is no broker %d", replica)
		}
	}
	if shown, _, _, _ := replicas(r.state, id, owner); r.keepFactor && len(shown) != len(p.Replicas) {
		return Move{}, refuse(kerr.InvalidReplicationFactor, "%d replicas, the partition has %d", len(p.Replicas), len(shown))
	}
	return Move{Partition: id, From: owner.NodeID, To: p.Replicas[0]}, nil
}

// cancel says why a move is not taken back.
func (r *reassigning) cancel(p topic.Partition) *refusal {
	for _, m := range r.rt.Moves.UnderWay() {
		if m.Partition == p {
			return refuse(kerr.NoReassignmentInProgress, "the partition is on its way to broker %d, which cannot be taken back", m.To)
		}
	}
	return refuse(kerr.NoReassignmentInProgress, "no move of the partition is under way")
}

func (r *reassigning) open(nodeID int32) bool {
	for _, a := range r.state.Agents() {
		if a.NodeID == nodeID {
			return true
		}
	}
	return false
}
