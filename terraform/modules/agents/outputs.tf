output "bootstrap" {
  description = "What Kafka clients take as bootstrap.servers. They are then told the agents' own addresses, so they must reach the subnets."
  value       = "${aws_lb.bootstrap.dns_name}:${local.kafka_port}"
}

output "metrics" {
  description = "Where Prometheus finds /metrics: names that resolve to all tasks (dns_sd_configs, type A), and with launch = \"ec2\" the tag that agents' instances have (ec2_sd_configs)."
  value = {
    port  = local.http_port
    names = [for name in sort(keys(aws_service_discovery_service.this)) : "${name}.${aws_service_discovery_private_dns_namespace.this.name}"]
    tag   = local.on_ec2 ? { "odradek:cluster" = var.cluster } : null
  }
}

output "security_group_id" {
  description = "Security group of the agents, for Redis to let in."
  value       = aws_security_group.agents.id
}

output "role_arns" {
  description = "The roles that agents run with: broker and compactor. The bucket's policy lets the compactor delete."
  value       = { for role, it in aws_iam_role.agent : role => it.arn }
}

output "log_group" {
  description = "Where the logs are."
  value       = aws_cloudwatch_log_group.this.name
}

output "stop_timeout_seconds" {
  description = "How long an agent has between SIGTERM and SIGKILL to give its partitions away."
  value       = local.stop_after
}
