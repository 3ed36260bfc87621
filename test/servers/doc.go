// Package servers starts real servers for tests, on loopback, on free ports: Redis, MinIO and versitygw. It is used
// by _test files only.
//
//	r := servers.Redis(t)             // one Redis of this test's own
//	m := servers.SharedMinIO(t)       // one MinIO for all tests of the process, a new bucket for each call
//	m.Setenv(t)                       // its keys in the environment, as the standard AWS chain reads them
//	bucket.Open(ctx, m.URL("prefix"))
//
// A server started here writes below the system's directory for temporary files, dies with the test's process,
// even when that is killed, and is gone with its directory when the test ends; a shared one when servers.Main
// returns, which TestMain calls:
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
//
// Two variables make tests use servers that run already, as in a container without the binaries:
//
//	ODRADEK_TEST_REDIS=redis://host:port          also redis://:password@host:port/db; or host:port
//	ODRADEK_TEST_S3=http://key:secret@host:port   instead of MinIO; https works too
//
// Such a server cannot be killed by a test: Kill, Restart and Pid fail it. OwnRedis and OwnMinIO always start one.
//
// Binaries are looked up in PATH, then in .cache/bin of the repository. One that is missing fails the test with a
// line that says what to type; no test is skipped.
package servers
