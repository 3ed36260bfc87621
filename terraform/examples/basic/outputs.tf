output "bootstrap" {
  description = "What Kafka clients take as bootstrap.servers."
  value       = module.agents.bootstrap
}

output "metrics" {
  description = "Where Prometheus finds /metrics."
  value       = module.agents.metrics
}
