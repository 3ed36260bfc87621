package group

import (
	"time"

	"github.com/odradek/odradek/topic"
)

// Protocol is one of the assignment protocols a member can speak, with what it tells the leader under it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinRequest asks for a place in a group's next generation. MemberID is empty for a new member; an empty InstanceID
// is a dynamic member.
type JoinRequest struct {
	Group, MemberID, InstanceID      string
	ClientID, ClientHost             string
	SessionTimeout, RebalanceTimeout time.Duration
	ProtocolType                     string
	Protocols                        []Protocol // in the member's order of preference
	RequireMemberID                  bool       // JoinGroup v4+: a new dynamic member is told its id and joins again
	SkipAssignment                   bool       // JoinGroup v9+: a replaced static leader can be told not to assign (KIP-814)
	Unique                           string     // the random part of the member id given to a new member
}

// JoinReply answers a JoinRequest. Members is given to the leader only.
type JoinReply struct {
	Err            error
	MemberID       string
	Generation     int32 // -1 with an error
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	Members        []JoinedMember
}

// JoinedMember is what the leader learns of a member.
type JoinedMember struct {
	ID, InstanceID string
	Metadata       []byte
}

// SyncRequest asks for the member's assignment; the leader brings everybody's. ProtocolType and Protocol are nil from
// clients that do not say them (before KIP-559).
type SyncRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32
	ProtocolType, Protocol      *string
	Assignments                 []Assignment
}

// Assignment is what the leader gives a member.
type Assignment struct {
	MemberID string
	Bytes    []byte
}

// SyncReply answers a SyncRequest.
type SyncReply struct {
	Err                    error
	ProtocolType, Protocol string
	Assignment             []byte
}

// HeartbeatRequest keeps a member's session alive.
type HeartbeatRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32
}

// HeartbeatReply answers a HeartbeatRequest.
type HeartbeatReply struct{ Err error }

// LeaveRequest takes members out of a group. A member with an empty MemberID is meant by its InstanceID.
type LeaveRequest struct {
	Group   string
	Members []LeavingMember
}

// LeavingMember names a member that leaves.
type LeavingMember struct{ MemberID, InstanceID string }

// LeaveReply answers a LeaveRequest; Errs has an entry for each of its members.
type LeaveReply struct {
	Err  error
	Errs []error
}

// TopicPartition names a partition as clients and the offsets topic do.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// NoGeneration is the generation of a commit that does not come from a group's member.
const NoGeneration = -1

// CommitRequest commits offsets for a group.
type CommitRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32         // NoGeneration from a consumer that is not in a group
	Retention                   time.Duration // how long to keep the offsets; 0: the cluster's setting
	Offsets                     []CommitOffset
}

// CommitOffset is one offset to commit.
type CommitOffset struct {
	TopicPartition
	Offset      topic.Offset
	LeaderEpoch int32 // -1 when the client does not say
	Metadata    string
}

// CommitReply answers a CommitRequest. When Err is nil, Errs has an entry for each offset.
type CommitReply struct {
	Err  error
	Errs []error
}

// FetchRequest asks for committed offsets: those of Parts, or all the group has.
type FetchRequest struct {
	Group string
	All   bool
	Parts []TopicPartition
}

// FetchReply answers a FetchRequest: in the order of Parts, or by topic and partition when all were asked for.
type FetchReply struct {
	Err     error
	Offsets []CommittedOffset
}

// CommittedOffset is a committed offset; Offset is -1 where nothing is committed.
type CommittedOffset struct {
	TopicPartition
	Offset      topic.Offset
	LeaderEpoch int32
	Metadata    string
}

// DescribeRequest asks for a picture of a group.
type DescribeRequest struct{ Group string }

// DescribeReply is a picture of a group.
type DescribeReply struct {
	Err          error // ErrGroupNotFound comes with State Dead
	State        State
	ProtocolType string
	Protocol     string // only of a stable group
	Members      []MemberPicture
}

// MemberPicture is a member as DescribeReply shows it. Metadata and Assignment are given for stable groups only.
type MemberPicture struct {
	ID, InstanceID, ClientID, ClientHost string
	Metadata, Assignment                 []byte
}

// ListReply lists the groups of one partition of the offsets topic, by id.
type ListReply struct {
	Err    error
	Groups []Listing
}

// Listing is a line of a list of groups. All groups are of type "classic".
type Listing struct {
	Group        string
	ProtocolType string
	State        State
}

// DeleteRequest deletes a group that has no members, with its offsets.
type DeleteRequest struct{ Group string }

// DeleteReply answers a DeleteRequest.
type DeleteReply struct{ Err error }

// DeleteOffsetsRequest deletes committed offsets.
type DeleteOffsetsRequest struct {
	Group string
	Parts []TopicPartition
}

// DeleteOffsetsReply answers a DeleteOffsetsRequest. When Err is nil, Errs has an entry for each partition.
type DeleteOffsetsReply struct {
	Err  error
	Errs []error
}
