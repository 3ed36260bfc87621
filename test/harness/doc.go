// Package harness starts real odradek agents for tests: the binary is built once per test process, each agent has
// ports and directories of its own, and can be killed, stopped and started again on the same ones. It is used by
// tests, and by the programs below test/.
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
//
//	a := harness.Start(t, harness.Options{})              // directory bucket, index in memory
//	a := harness.Start(t, harness.Options{Bucket: m.URL("x"), Env: m.Env(), Redis: r.URL()})
//	kgo.NewClient(kgo.SeedBrokers(a.Addr))
//	a.Kill()                                              // SIGKILL, waits until the process is gone
//	a.Restart()                                           // same flags, ports and directories; waits for /readyz
//	a.Restart("--flush-interval", "1s")                   // more flags, for good
//	a.Stop()                                              // SIGTERM, wants exit status 0
//
// What an agent printed is shown when its test fails. An agent dies with the test's process, even when that is killed.
// Run runs any other command of the binary.
//
// A Program stands in for the test where a program, not a test, starts agents and servers.
//
// Four variables change how it works:
//
//	ODRADEK_TEST_BINARY=/path/odradek   use this binary and build none
//	ODRADEK_TEST_RACE=1                 build with the race detector; an agent that reports a race fails its test
//	ODRADEK_TEST_LOG=1                  show what agents printed, all of it, also when their test passed
//	ODRADEK_TEST_LONG=1                 Long tells tests to take their time
package harness
