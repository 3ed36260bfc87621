package group

import "errors"

// What a request can be refused with. Each is one of Kafka's error codes, which agent/api gives them.
var (
	ErrInvalidGroupID        = errors.New("group id is empty")
	ErrInvalidSessionTimeout = errors.New("session timeout is outside the limits of the cluster")
	ErrUnknownMember         = errors.New("the group does not have this member")
	ErrIllegalGeneration     = errors.New("the group is at another generation")
	ErrRebalanceInProgress   = errors.New("the group is rebalancing")
	ErrFencedInstance        = errors.New("another member has this group instance id now")
	ErrInconsistentProtocol  = errors.New("the group's members share no such protocol")
	ErrMemberIDRequired      = errors.New("join again with the member id given")
	ErrGroupFull             = errors.New("the group has as many members as it may have")
	ErrGroupNotFound         = errors.New("there is no such group")
	ErrGroupNotEmpty         = errors.New("the group has members")
	ErrSubscribed            = errors.New("the group is subscribed to the topic")
	ErrMetadataTooLarge      = errors.New("offset metadata is too large")
	ErrGroupTooLarge         = errors.New("the group's assignment is too large for one record")
	ErrTooManyGroups         = errors.New("the coordinator has as many groups as it may have")
	ErrTooManyOffsets        = errors.New("the group has as many offsets as it may have")
	ErrNotCoordinator        = errors.New("this agent does not coordinate the group")
	ErrLoadInProgress        = errors.New("the coordinator is reading its log")
)

// retriable reports whether an answer with err may be given without the owner's proof (O1): the client does nothing
// on its word but come again.
func retriable(err error) bool {
	for _, again := range []error{
		ErrRebalanceInProgress, ErrNotCoordinator, ErrLoadInProgress, ErrMemberIDRequired, ErrGroupFull, ErrTooManyGroups,
	} {
		if errors.Is(err, again) {
			return true
		}
	}
	return false
}
