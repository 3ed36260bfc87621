package recordbatch

import (
	"bytes"
	"errors"
	"testing"
)

func TestCompress_DecompressGivesItBack(t *testing.T) {
	for _, codec := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			for _, size := range []int{0, 1, 1000, xerialBlock, xerialBlock + 1, 64 << 10, 300_000} {
				raw := bytes.Repeat([]byte("some text that packs well. "), size/27+1)[:size]
				packed, err := Compress([]byte("header"), codec, raw)
				if err != nil {
					t.Fatal(err)
				}
				body, ok := bytes.CutPrefix(packed, []byte("header"))
				if !ok {
					t.Fatalf("%d bytes: what stood before is lost", size)
				}
				back, err := Decompress(codec, body, size)
				if err != nil || !bytes.Equal(back, raw) {
					t.Errorf("%d bytes: %d came back, %v", size, len(back), err)
				}
				if codec != None && size > 1000 && len(body) > size/4 {
					t.Errorf("%d bytes packed to %d", size, len(body))
				}
			}
		})
	}
	if _, err := Compress(nil, 5, nil); !errors.Is(err, ErrAttributes) {
		t.Errorf("codec 5: %v", err)
	}
}
