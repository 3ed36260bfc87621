package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() { register(0, 5, (*Router).initProducerID) }

// initProducerID gives an idempotent producer its id. One that comes again with an id and epoch (KIP-360) gets a new
// id: without a transactional id nobody else can hold the old one, and the producer raises its epoch by itself while
// it has some left. Version 6 (KIP-939) is not stable in Kafka and is not shown.
func (rt *Router) initProducerID(_ context.Context, c *call, req *kmsg.InitProducerIDRequest) (answer, error) {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil || (req.ProducerID < 0) != (req.ProducerEpoch < 0) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return now(resp), nil
	}
	return func(ctx context.Context) (kmsg.Response, error) {
		id, err := rt.Admin.AllocateProducerID(ctx)
		if err != nil {
			resp.ErrorCode = rt.retriable(c, err)
			return resp, ctx.Err()
		}
		resp.ProducerID, resp.ProducerEpoch = id, 0
		return resp, nil
	}, nil
}

// retriable is the code for a failure of the control log in answers whose clients know no NOT_CONTROLLER.
func (rt *Router) retriable(c *call, err error) int16 {
	if code := rt.code(c, err); code != kerr.UnknownServerError.Code {
		return kerr.CoordinatorLoadInProgress.Code
	}
	return kerr.CoordinatorNotAvailable.Code
}
