package settings

import (
	"fmt"
	"io"
	"strings"

	"github.com/odradek/odradek/topic"
)

// WriteMarkdown writes docs/settings.md from the table.
func WriteMarkdown(w io.Writer) error {
	var s strings.Builder
	s.WriteString(markdownHead)
	defaults := Defaults()
	for _, t := range table {
		standard := t.standard
		if standard == "" {
			standard = t.show(defaults)
		}
		if !strings.Contains(standard, " ") {
			standard = code(standard)
		}
		fmt.Fprintf(&s, "| `--%s %s` | `%s` | %s | %s |\n", t.name, t.argument, variableOf(t.name), standard, t.help)
	}
	fmt.Fprintf(&s, "| `--%s NAME=VALUE` | `%s` | | %s |\n", setName, variableOf(setName), setHelp)
	s.WriteString(markdownTail)
	for _, k := range topic.ClusterSettings.All() {
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s |\n", k.Name, strings.ToLower(k.Type.String()), code(k.Default),
			strings.ReplaceAll(k.Doc, "|", `\|`))
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// code sets a word as code; nothing stays nothing.
func code(word string) string {
	if word == "" {
		return ""
	}
	return "`" + word + "`"
}

const markdownHead = `# Settings

<!-- Written by ` + "`odradek docs settings`" + ` from agent/settings/table.go. -->

Every setting of ` + "`odradek agent`" + ` is a flag, an environment variable and a key of the YAML file, all of the same
name. A flag wins over the environment, the environment over the file, the file over the default. What is not known
is an error that names the nearest; all problems are reported at once, one a line, and the exit status is 2.

| Flag | Variable | Default | |
| --- | --- | --- | --- |
`

const markdownTail = `
Sizes are bytes or a number with a unit (` + "`8MiB`, `64KB`" + `); durations have units too (` + "`250ms`, `2s`" + `).
A variable that is empty counts as not set.

## The file

` + "`--config FILE`" + ` names a YAML file with one mapping:

` + "```yaml" + `
bucket: s3://my-bucket/odradek?region=eu-central-1
flush-interval: 100ms
num.partitions: 8
` + "```" + `

## Secrets

Secrets are never flags or keys of the file, and print as ` + "`***`" + `. The Redis password is taken from
` + "`ODRADEK_REDIS_PASSWORD`" + ` or from the file that ` + "`--redis-password-file`" + ` names; a URL with a password in it is refused.
The credentials of the bucket come from the standard AWS chain.

## Variables that are not settings

` + "`ODRADEK_BOOTSTRAP`" + ` is the client commands' ` + "`--bootstrap`" + `; ` + "`ODRADEK_TEST_…`" + ` belong to the test suites. The
variables that Kubernetes makes for a service named odradek (` + "`ODRADEK_SERVICE_…`, `ODRADEK_PORT…`" + `) are ignored.

## Cluster settings with Kafka's names

` + "`--set name=value`" + ` may be given many times; in ` + "`ODRADEK_SET`" + ` pairs are set off by semicolons or lines; in the file
the names are keys like the others, or stand in a mapping under ` + "`set`" + `.

| Setting | Type | Default | |
| --- | --- | --- | --- |
`
