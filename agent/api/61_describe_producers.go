package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(0, 0, (*Router).describeProducers) }

// describeProducers lists the idempotent producers of partitions that this agent owns. There are no transactions.
func (rt *Router) describeProducers(_ context.Context, c *call, req *kmsg.DescribeProducersRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrDescribeProducersResponse()
		state := rt.Cluster.State()
		for _, t := range req.Topics {
			out := kmsg.NewDescribeProducersResponseTopic()
			out.Topic = t.Topic
			found, code := findTopic(state, false, topic.ID{}, t.Topic)
			if topic.ValidateName(t.Topic) != nil {
				code = kerr.InvalidTopicException.Code
			}
			for _, index := range t.Partitions {
				rp := kmsg.NewDescribeProducersResponseTopicPartition()
				rp.Partition, rp.ErrorCode = index, code
				if code == 0 {
					rt.addProducers(c, &rp, topic.Partition{Topic: found.ID, Index: index})
				}
				out.Partitions = append(out.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, ctx.Err()
	}, nil
}

func (rt *Router) addProducers(c *call, rp *kmsg.DescribeProducersResponseTopicPartition, p topic.Partition) {
	producers, err := rt.Holdings.Producers(p)
	if err != nil {
		rp.ErrorCode, rp.ErrorMessage = rt.code(c, err), messageOf(err)
		return
	}
	for _, producer := range producers {
		out := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		out.ProducerID, out.ProducerEpoch = producer.ID, int32(producer.Epoch)
		out.LastSequence, out.LastTimestamp, out.CoordinatorEpoch = producer.LastSequence, producer.LastTimestamp, -1
		rp.ActiveProducers = append(rp.ActiveProducers, out)
	}
}
