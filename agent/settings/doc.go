// Package settings is the table of everything a person can set on an agent.
//
// Each setting is one entry of the table in table.go and by that a flag (--flush-size), an environment variable
// (ODRADEK_FLUSH_SIZE) and a YAML key (flush-size) of the same name. A flag wins over the environment, the
// environment over the file, the file over the default. Load merges the four and reports every problem it finds
// at once; Defaults and Validate serve those who fill a Settings in code.
//
// Cluster settings with Kafka's names (num.partitions) come by --set name=value, or as keys of the file; which
// names and values are valid says topic.ClusterSettings.
//
// The package is data only: it reads the configuration file, the password file and the machine's memory size
// while loading, keeps nothing open and starts no goroutine. Any floor above the devices may import it.
// docs/settings.md is written from the table.
package settings
