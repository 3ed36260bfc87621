package settings

import "testing"

func TestNearest_NamesWhatWasMeantOrNothing(t *testing.T) {
	for name, want := range map[string]string{
		"flush-sise": "flush-size", "flushsize": "flush-size", "Bucket": "bucket", "advertised": "advertise",
		"interval": "flush-interval", "lsiten": "listen", "password": "redis-password-file", "colour-scheme": "", "x": "",
	} {
		if got := Nearest(name, names()); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
