package group

import "encoding/binary"

// readTopics notes which topics the members of this generation subscribe to. It can tell only for consumers whose
// metadata it can read.
func (g *group) readTopics() {
	g.topics, g.topicsKnown = nil, false
	if g.protocolType != consumerProtocol || g.protocol == "" {
		return
	}
	topics := map[string]struct{}{}
	for _, m := range g.members {
		names, ok := subscription(m.metadata(g.protocol))
		if !ok {
			return
		}
		for _, name := range names {
			topics[name] = struct{}{}
		}
	}
	g.topics, g.topicsKnown = topics, true
}

// subscribed reports whether the group reads a topic, or might.
func (g *group) subscribed(topic string) bool {
	if g.state == Empty || g.protocolType != consumerProtocol {
		return false
	}
	if !g.topicsKnown {
		return true
	}
	_, ok := g.topics[topic]
	return ok
}

// subscription reads the topics of a consumer's metadata, the schema ConsumerProtocolSubscription.json:
//
//	int16 version | int32 n | n x (int16 length, name) | ... later fields, not read
func subscription(b []byte) (topics []string, ok bool) {
	if len(b) < 6 {
		return nil, false
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	if n < 0 || int(n) > len(b)/2 {
		return nil, false
	}
	for range n {
		if len(b) < 2 {
			return nil, false
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		if size < 0 || size > len(b)-2 {
			return nil, false
		}
		topics = append(topics, string(b[2:2+size]))
		b = b[2+size:]
	}
	return topics, true
}
