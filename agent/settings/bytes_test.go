package settings

import "testing"

func TestParseBytes_ReadsWhatPeopleWrite(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "1048576": MiB, "8MiB": 8 * MiB, "8 mib": 8 * MiB, "64KB": 64000, "64KiB": 64 * KiB, "1.5GiB": 3 * GiB / 2,
		"2TB": 2e12, "100B": 100, "9223372036854775807": 1<<63 - 1, " 1GiB ": GiB,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "MiB", "8M", "-1", "1e3", "8MiB8", "1.2.3MiB", "9223372036854775808", "9000000TiB", ".", "0x10", "١",
	} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestBytes_PrintsWhatParseBytesReads(t *testing.T) {
	for _, b := range []Bytes{0, 1, 1023, KiB, 64000, 8 * MiB, GiB + MiB, 3 * TiB} {
		if got, err := ParseBytes(b.String()); err != nil || got != b {
			t.Errorf("%s: got %d, %v, want %d", b, got, err, b)
		}
	}
	if got := (8 * MiB).String(); got != "8MiB" {
		t.Errorf("got %s, want 8MiB", got)
	}
}

func FuzzParseBytes(f *testing.F) {
	f.Add("8MiB")
	f.Add("1.5 GiB")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBytes(text)
		if err != nil {
			return
		}
		if back, err := ParseBytes(b.String()); b < 0 || err != nil || back != b {
			t.Errorf("%q: %d prints as %s", text, b, b)
		}
	})
}
