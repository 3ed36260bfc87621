// Command odradek is the one binary of Odradek: it runs an agent, talks to running ones, and reads what
// they store.
//
//	odradek agent                               run an agent
//	odradek topic create|list|describe|delete   manage topics
//	odradek produce TOPIC                       send lines from standard input
//	odradek consume TOPIC                       print records
//	odradek group list|describe                 look at consumer groups
//	odradek cluster info|health                 look at the agents, heartbeats and the index
//	odradek cluster drain|move|takeover         have partitions go to other agents
//	odradek verify                              check a bucket and print what is stored
//	odradek inspect control|journal|segment|wal look into the bucket and the WAL
//	odradek healthcheck                         ask an agent on this machine whether it is ready
//	odradek version                             say which build this is
//
// Floor 7, above everything. Each command has a file of its own and reaches the process only through a world, so
// that the tests run whole commands. The client commands speak Kafka's protocol by franz-go and work against any
// broker; the storage commands read a bucket or a directory, offline, and only some of `cluster` write. A command that fails prints
// one line and exits with status 1; one that cannot be understood exits with status 2 and says so in one line for
// each problem.
package main
