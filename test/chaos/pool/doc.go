// Package pool is a pool of agents as processes, with their Redis and their bucket, all of it to be broken: an agent has
// a link of its own to Redis, to the bucket (MinIO; a directory has none) and from its clients, and Redis may be killed,
// torn, failed over, rolled back, split and stopped while the agents go on dialling the same address.
//
//	p := pool.Start(program, pool.Options{Dir: dir, Store: "minio", Agents: 3})
//	a := p.Agents()[0]
//	a.Kill(); a.Launch()
//	a.Redis.Cut(); a.Bucket.Do(link.Storm, 0.5)
//	p.Redis.Failover(ctx, 2*time.Second)
//
// The processes are those of test/harness and test/servers and die with the program. The links' goroutines are package
// link's. Methods of Agent may be called concurrently; those of Redis by one goroutine at a time. Used by test/chaos and
// test/demo.
package pool
