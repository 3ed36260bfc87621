package api

import (
	"errors"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/odradek/odradek/agent/group"
)

// Groups is the group engine as the files of the group keys (08, 09, 11 to 16, 42, 47) need it. Its calls admit a
// request and return what to wait on, so that the requests of a connection keep their order.
type Groups = *group.Coordinator

// groupCodes maps what the group engine refuses to Kafka's codes.
var groupCodes = []struct {
	err  error
	code *kerr.Error
}{
	{group.ErrInvalidGroupID, kerr.InvalidGroupID},
	{group.ErrInvalidSessionTimeout, kerr.InvalidSessionTimeout},
	{group.ErrUnknownMember, kerr.UnknownMemberID},
	{group.ErrIllegalGeneration, kerr.IllegalGeneration},
	{group.ErrRebalanceInProgress, kerr.RebalanceInProgress},
	{group.ErrFencedInstance, kerr.FencedInstanceID},
	{group.ErrInconsistentProtocol, kerr.InconsistentGroupProtocol},
	{group.ErrMemberIDRequired, kerr.MemberIDRequired},
	{group.ErrGroupFull, kerr.GroupMaxSizeReached},
	{group.ErrGroupNotFound, kerr.GroupIDNotFound},
	{group.ErrGroupNotEmpty, kerr.NonEmptyGroup},
	{group.ErrSubscribed, kerr.GroupSubscribedToTopic},
	{group.ErrMetadataTooLarge, kerr.OffsetMetadataTooLarge},
	{group.ErrGroupTooLarge, kerr.UnknownServerError},
	{group.ErrTooManyGroups, kerr.CoordinatorNotAvailable},
	{group.ErrTooManyOffsets, kerr.InvalidCommitOffsetSize},
	{group.ErrNotCoordinator, kerr.NotCoordinator},
	{group.ErrLoadInProgress, kerr.CoordinatorLoadInProgress},
}

func init() { codes = append(codes, groupCodes...) }

// groupOperations are the ACL operations on a group that everybody has while nothing is authorized: READ, DELETE,
// DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, as bits.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// clientHost is a member's address as Kafka shows it: a slash and the IP.
func (c *call) clientHost() string {
	if c.conn == nil || c.conn.Remote == nil {
		return "/"
	}
	host, _, err := net.SplitHostPort(c.conn.Remote.String())
	if err != nil {
		host = c.conn.Remote.String()
	}
	return "/" + host
}

// either is the error of a wait or, when there was an answer, the answer's.
func either(waited, answered error) error {
	if waited != nil {
		return waited
	}
	return answered
}

// optional is a nullable string of ours: an empty one is null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// stringOf is a nullable string of Kafka's, null being empty.
func stringOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// groupNotFound names a missing group as versions before GROUP_ID_NOT_FOUND knew it.
func groupNotFound(err, before error, version, since int16) error {
	if version < since && errors.Is(err, group.ErrGroupNotFound) {
		return before
	}
	return err
}
