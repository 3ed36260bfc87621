package settings

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is text that prints as *** wherever it is formatted, logged or encoded. Only Reveal gives it away.
type Secret struct{ text string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal gives the text, for the one call that needs it.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// String gives *** or nothing.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "***"
}

// Format hides the secret from every verb of package fmt, %#v and %d included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
