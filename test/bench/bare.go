package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	bareSegment  = 8 << 20
	bareInterval = 20 * time.Millisecond
	produceV     = 7 // the version that load speaks
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bareAgent does what no agent can avoid and nothing else: read frames, decode, check the CRC, patch the header, put
// segments together, PUT them, answer. No offsets per partition, no WAL, no index.
type bareAgent struct {
	sink   string
	idle   chan *bareConn
	frames sync.Pool
	slots  chan struct{}
	offset atomic.Int64
	number atomic.Int64

	mu  sync.Mutex // guards cur
	cur *bareSegmentBuf
}

type bareSegmentBuf struct {
	parts  [][]byte
	frames []*[]byte
	size   int
	done   chan struct{}
}

type bareConn struct {
	net.Conn
	r *bufio.Reader
}

func bare(args []string) error {
	fs := flag.NewFlagSet("bare", flag.ExitOnError)
	addr := fs.String("addr", "", "where to listen")
	sinkAddr := fs.String("sink", "", "host:port of the sink")
	fs.Parse(args)
	debug.SetGCPercent(400)
	a := &bareAgent{sink: *sinkAddr, idle: make(chan *bareConn, 16), slots: make(chan struct{}, 4)}
	a.frames.New = func() any { b := make([]byte, 2<<20); return &b }
	a.cur = &bareSegmentBuf{done: make(chan struct{})}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	go a.tick()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go a.serve(c)
	}
}

func (a *bareAgent) tick() {
	for range time.Tick(bareInterval) {
		a.mu.Lock()
		if a.cur.size > 0 {
			a.flush()
		}
		a.mu.Unlock()
	}
}

// flush sends the current segment on its way. The lock is held.
func (a *bareAgent) flush() {
	s := a.cur
	a.cur = &bareSegmentBuf{done: make(chan struct{})}
	go func() {
		a.slots <- struct{}{}
		defer func() { <-a.slots }()
		if err := a.put(s); err != nil {
			panic(err)
		}
		close(s.done)
		for _, f := range s.frames {
			a.frames.Put(f)
		}
	}()
}

// put writes header and slices in one writev on a plain HTTP/1.1 connection.
func (a *bareAgent) put(s *bareSegmentBuf) error {
	crc := uint32(0)
	for _, p := range s.parts {
		crc = crc32.Update(crc, castagnoli, p)
	}
	var c *bareConn
	select {
	case c = <-a.idle:
	default:
		raw, err := net.Dial("tcp", a.sink)
		if err != nil {
			return err
		}
		c = &bareConn{raw, bufio.NewReader(raw)}
	}
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
	head := fmt.Sprintf("PUT /b/bare-%d HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nX-Amz-Checksum-Crc32c: %s\r\n\r\n",
		a.number.Add(1), a.sink, s.size, sum)
	v := append(net.Buffers{[]byte(head)}, s.parts...)
	if _, err := v.WriteTo(c); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	a.idle <- c
	return nil
}

func (a *bareAgent) serve(c net.Conn) {
	defer c.Close()
	var head [4]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		fp := a.frames.Get().(*[]byte)
		if cap(*fp) < n {
			b := make([]byte, n)
			fp = &b
		}
		f := (*fp)[:n]
		if _, err := io.ReadFull(c, f); err != nil {
			return
		}
		if err := a.produce(c, f, fp); err != nil {
			panic(err)
		}
	}
}

func (a *bareAgent) produce(c net.Conn, f []byte, fp *[]byte) error {
	correlation := append([]byte(nil), f[4:8]...)
	req := kmsg.ProduceRequest{Version: produceV}
	if err := req.ReadFrom(f[10+int(binary.BigEndian.Uint16(f[8:])):]); err != nil {
		return err
	}
	resp := kmsg.ProduceResponse{Version: produceV}
	var records [][]byte
	size := 0
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			b := p.Records
			if crc32.Checksum(b[21:], castagnoli) != binary.BigEndian.Uint32(b[17:]) {
				return errors.New("crc")
			}
			o := a.offset.Add(1)
			binary.BigEndian.PutUint64(b, uint64(o))
			binary.BigEndian.PutUint32(b[12:], 7)
			records = append(records, b)
			size += len(b)
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset = p.Partition, o
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	a.mu.Lock()
	s := a.cur
	s.parts = append(s.parts, records...)
	s.frames = append(s.frames, fp)
	if s.size += size; s.size >= bareSegment {
		a.flush()
	}
	a.mu.Unlock()
	<-s.done
	out := resp.AppendTo(append([]byte{0, 0, 0, 0}, correlation...))
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	_, err := c.Write(out)
	return err
}
