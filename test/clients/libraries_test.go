package clients

import "testing"

var allCodecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// The libraries of today.
var (
	java = library{
		name: "kafka-clients 4.4", part: javaPart, codecs: allCodecs, nulls: true,
		command: func(t testing.TB) []string { return javaCommand(t, "lib") },
		codec: func(codec string) map[string]any {
			return settings("compression.type", codec, "linger.ms", "20", "acks", "all")
		},
	}
	kafkaPython = library{
		name: "kafka-python 3", part: pythonPart, codecs: allCodecs,
		command: func(t testing.TB) []string { return pythonCommand(t, "venv", "kafka-python") },
		codec:   kafkaPythonCodec,
	}
	confluent = library{
		name: "confluent-kafka 2.16", part: pythonPart, codecs: allCodecs, nulls: true,
		command: func(t testing.TB) []string { return pythonCommand(t, "venv", "confluent-kafka") },
		codec: func(codec string) map[string]any {
			return settings("compression.type", codec, "linger.ms", 20, "acks", "all")
		},
	}
	kafkaJS = library{
		name: "kafkajs 2", part: nodePart, codecs: allCodecs,
		command: func(t testing.TB) []string { return []string{"node", path(t, "test", "clients", "node", "probe.js")} },
		codec:   func(codec string) map[string]any { return settings("codec", codec) },
	}
	sarama = library{
		name: "sarama", part: goPart, codecs: allCodecs, nulls: true,
		command: func(t testing.TB) []string { return []string{cached(t, "bin", "sarama")} },
		codec:   func(codec string) map[string]any { return settings("codec", codec, "version", "2.1.0") },
	}
	today = []library{java, kafkaPython, confluent, kafkaJS, sarama}
)

// Libraries of people who do not upgrade.
var (
	oldJava = library{
		name: "kafka-clients 2.1", part: javaPart, codecs: allCodecs, nulls: true,
		command: func(t testing.TB) []string { return javaCommand(t, "old") },
		codec:   java.codec,
	}
	oldKafkaPython = library{
		name: "kafka-python 2.0", part: oldPythonPart, codecs: []string{"none", "gzip", "snappy", "lz4"},
		command: func(t testing.TB) []string { return pythonCommand(t, "venv-old", "kafka-python") },
		codec:   kafkaPythonCodec,
	}
	oldConfluent = library{
		name: "confluent-kafka 2.0", part: oldPythonPart, codecs: allCodecs, nulls: true,
		command: func(t testing.TB) []string { return pythonCommand(t, "venv-old", "confluent-kafka") },
		codec:   confluent.codec,
	}
	oldSarama = library{
		name: "sarama as of 0.11", part: goPart, codecs: []string{"none", "gzip", "snappy", "lz4"}, nulls: true,
		command: sarama.command,
		codec:   func(codec string) map[string]any { return settings("codec", codec, "version", "0.11.0.0") },
	}
	old = []library{oldJava, oldKafkaPython, oldConfluent, oldSarama}
)

func kafkaPythonCodec(codec string) map[string]any {
	config := settings("linger_ms", 20, "acks", "all")
	if codec != "none" {
		config["compression_type"] = codec
	}
	return config
}

func javaCommand(t testing.TB, libraries string) []string {
	target := path(t, "test", "clients", "java", "target")
	return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", target + "/classes:" + target + "/" + libraries + "/*", "probe.Probe"}
}

func pythonCommand(t testing.TB, venv, name string) []string {
	return []string{cached(t, venv, "bin", "python"), path(t, "test", "clients", "python", "probe.py"), name}
}
