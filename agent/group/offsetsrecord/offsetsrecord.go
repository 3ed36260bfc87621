package offsetsrecord

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

// Errors of Decode.
var (
	ErrUnknownKey = errors.New("record key of an unknown version")
	ErrCorrupt    = errors.New("record of the offsets topic is corrupt")
)

// Versions that Encode writes: those of Apache Kafka 4.x.
const (
	offsetKeyVersion          = 1
	groupKeyVersion           = 2
	offsetValueVersion        = 3
	offsetValueExpiresVersion = 1 // the only version with an expiry time
	groupValueVersion         = 3
	maxValueVersion           = 4
)

// None stands for "no time" and "no epoch" in the fields that may lack one.
const None = -1

// Record is one record of __consumer_offsets: exactly one of the two is set.
type Record struct {
	Commit *Commit
	Group  *GroupMetadata
}

// Commit sets or deletes a group's offset for one partition.
type Commit struct {
	Group     string
	Topic     string
	Partition int32
	Value     *Offset // nil deletes
}

// Offset is a committed offset. Times are Unix milliseconds.
type Offset struct {
	Offset      topic.Offset
	LeaderEpoch int32 // None when the client did not say
	Metadata    string
	CommitMs    int64
	ExpireMs    int64 // None: the retention of the cluster decides
}

// GroupMetadata sets or deletes what is remembered of a group's members.
type GroupMetadata struct {
	Group string
	Value *Group // nil deletes
}

// Group is a generation of a group.
type Group struct {
	ProtocolType string
	Protocol     string // empty: none
	Generation   int32
	Leader       string // empty: none
	StateMs      int64  // since when the group is in its state, Unix milliseconds; None when unknown
	Members      []Member
}

// Member is a member of a generation. Timeouts are milliseconds.
type Member struct {
	ID                 string
	InstanceID         string // empty for a dynamic member
	ClientID           string
	ClientHost         string
	RebalanceTimeoutMs int32
	SessionTimeoutMs   int32
	Subscription       []byte
	Assignment         []byte
}

// Encode gives the record's key and value; a nil value is a tombstone. The caller owns both.
func Encode(r Record) (key, value []byte) {
	if r.Commit != nil {
		return encodeCommit(r.Commit)
	}
	return encodeGroup(r.Group)
}

// Decode reads a record. ErrUnknownKey means that it is of another kind and may be skipped, ErrCorrupt that it cannot
// be read. The result does not refer to the slices given.
func Decode(key, value []byte) (Record, error) {
	if len(key) < 2 {
		return Record{}, fmt.Errorf("%w: key of %d bytes", ErrCorrupt, len(key))
	}
	switch version := int16(binary.BigEndian.Uint16(key)); version {
	case 0, offsetKeyVersion:
		return decodeCommit(key, value)
	case groupKeyVersion:
		return decodeGroup(key, value)
	default:
		return Record{}, fmt.Errorf("%w: %d", ErrUnknownKey, version)
	}
}

func encodeCommit(c *Commit) (key, value []byte) {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: c.Group, Topic: c.Topic, Partition: c.Partition}
	key = k.AppendTo(nil)
	if c.Value == nil {
		return key, nil
	}
	v := kmsg.NewOffsetCommitValue()
	v.Version = offsetValueVersion
	v.Offset = int64(c.Value.Offset)
	v.LeaderEpoch = c.Value.LeaderEpoch
	v.Metadata = c.Value.Metadata
	v.CommitTimestamp = c.Value.CommitMs
	if c.Value.ExpireMs != None {
		v.Version = offsetValueExpiresVersion
		v.ExpireTimestamp = c.Value.ExpireMs
	}
	return key, v.AppendTo(nil)
}

func decodeCommit(key, value []byte) (Record, error) {
	k := kmsg.NewOffsetCommitKey()
	if err := k.ReadFrom(key); err != nil {
		return Record{}, fmt.Errorf("%w: offset key: %w", ErrCorrupt, err)
	}
	c := &Commit{Group: k.Group, Topic: k.Topic, Partition: k.Partition}
	if value == nil {
		return Record{Commit: c}, nil
	}
	if err := checkVersion(value); err != nil {
		return Record{}, err
	}
	v := kmsg.NewOffsetCommitValue()
	if err := v.ReadFrom(value); err != nil {
		return Record{}, fmt.Errorf("%w: offset value: %w", ErrCorrupt, err)
	}
	c.Value = &Offset{
		Offset:      topic.Offset(v.Offset),
		LeaderEpoch: v.LeaderEpoch,
		Metadata:    v.Metadata,
		CommitMs:    v.CommitTimestamp,
		ExpireMs:    None,
	}
	if v.Version < 3 {
		c.Value.LeaderEpoch = None
	}
	if v.Version == offsetValueExpiresVersion {
		c.Value.ExpireMs = v.ExpireTimestamp
	}
	return Record{Commit: c}, nil
}

func encodeGroup(g *GroupMetadata) (key, value []byte) {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: g.Group}
	key = k.AppendTo(nil)
	if g.Value == nil {
		return key, nil
	}
	v := kmsg.NewGroupMetadataValue()
	v.Version = groupValueVersion
	v.ProtocolType = g.Value.ProtocolType
	v.Generation = g.Value.Generation
	v.Protocol = optional(g.Value.Protocol)
	v.Leader = optional(g.Value.Leader)
	v.CurrentStateTimestamp = g.Value.StateMs
	for i := range g.Value.Members {
		m := &g.Value.Members[i]
		w := kmsg.NewGroupMetadataValueMember()
		w.MemberID = m.ID
		w.InstanceID = optional(m.InstanceID)
		w.ClientID = m.ClientID
		w.ClientHost = m.ClientHost
		w.RebalanceTimeoutMillis = m.RebalanceTimeoutMs
		w.SessionTimeoutMillis = m.SessionTimeoutMs
		w.Subscription = m.Subscription
		w.Assignment = m.Assignment
		v.Members = append(v.Members, w)
	}
	return key, v.AppendTo(nil)
}

func decodeGroup(key, value []byte) (Record, error) {
	k := kmsg.NewGroupMetadataKey()
	if err := k.ReadFrom(key); err != nil {
		return Record{}, fmt.Errorf("%w: group key: %w", ErrCorrupt, err)
	}
	g := &GroupMetadata{Group: k.Group}
	if value == nil {
		return Record{Group: g}, nil
	}
	if err := checkVersion(value); err != nil {
		return Record{}, err
	}
	v := kmsg.NewGroupMetadataValue()
	if err := v.ReadFrom(value); err != nil {
		return Record{}, fmt.Errorf("%w: group value: %w", ErrCorrupt, err)
	}
	g.Value = &Group{
		ProtocolType: v.ProtocolType,
		Protocol:     orEmpty(v.Protocol),
		Generation:   v.Generation,
		Leader:       orEmpty(v.Leader),
		StateMs:      v.CurrentStateTimestamp,
	}
	for i := range v.Members {
		g.Value.Members = append(g.Value.Members, decodeMember(v.Version, &v.Members[i]))
	}
	return Record{Group: g}, nil
}

func decodeMember(version int16, w *kmsg.GroupMetadataValueMember) Member {
	m := Member{
		ID:                 w.MemberID,
		InstanceID:         orEmpty(w.InstanceID),
		ClientID:           w.ClientID,
		ClientHost:         w.ClientHost,
		RebalanceTimeoutMs: w.RebalanceTimeoutMillis,
		SessionTimeoutMs:   w.SessionTimeoutMillis,
		Subscription:       append([]byte(nil), w.Subscription...),
		Assignment:         append([]byte(nil), w.Assignment...),
	}
	if version < 1 {
		m.RebalanceTimeoutMs = m.SessionTimeoutMs
	}
	return m
}

func checkVersion(value []byte) error {
	if len(value) < 2 {
		return fmt.Errorf("%w: value of %d bytes", ErrCorrupt, len(value))
	}
	if v := int16(binary.BigEndian.Uint16(value)); v < 0 || v > maxValueVersion {
		return fmt.Errorf("%w: value of version %d, want at most %d", ErrCorrupt, v, maxValueVersion)
	}
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
