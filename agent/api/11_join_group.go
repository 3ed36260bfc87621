package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
)

func init() { register(0, 9, (*Router).joinGroup) }

func (rt *Router) joinGroup(ctx context.Context, c *call, req *kmsg.JoinGroupRequest) (answer, error) {
	r := group.JoinRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: stringOf(req.InstanceID),
		ClientID: c.clientID, ClientHost: c.clientHost(),
		SessionTimeout:   millis(req.SessionTimeoutMillis),
		RebalanceTimeout: millis(req.RebalanceTimeoutMillis),
		ProtocolType:     req.ProtocolType,
		Protocols:        make([]group.Protocol, len(req.Protocols)),
		RequireMemberID:  c.version >= 4,
		SkipAssignment:   c.version >= 9,
		Unique:           newUUID(),
	}
	if c.version == 0 {
		r.RebalanceTimeout = r.SessionTimeout
	}
	for i, p := range req.Protocols {
		r.Protocols[i] = group.Protocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)} // kept; the frame is not
	}
	pending := rt.Groups.Join(ctx, r)
	return func(ctx context.Context) (kmsg.Response, error) {
		reply, err := pending.Wait(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		resp := kmsg.NewPtrJoinGroupResponse()
		resp.MemberID = reply.MemberID
		if resp.ErrorCode = rt.code(c, either(err, reply.Err)); resp.ErrorCode != 0 {
			if err != nil {
				resp.MemberID = req.MemberID
			}
			resp.Generation = group.NoGeneration
			return resp, nil
		}
		resp.Generation = reply.Generation
		resp.ProtocolType, resp.Protocol = &reply.ProtocolType, &reply.Protocol
		resp.LeaderID, resp.SkipAssignment = reply.Leader, reply.SkipAssignment
		for _, m := range reply.Members {
			out := kmsg.NewJoinGroupResponseMember()
			out.MemberID, out.InstanceID, out.ProtocolMetadata = m.ID, optional(m.InstanceID), m.Metadata
			resp.Members = append(resp.Members, out)
		}
		return resp, nil
	}, nil
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

// newUUID draws a random UUID (version 4) as the random part of a member id, which is how Kafka's look.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
