output "vpc_id" {
  description = "The VPC that was made."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Its addresses."
  value       = aws_vpc.this.cidr_block
}

output "subnet_ids" {
  description = "The agents' subnets, one per zone, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.agents[zone].id]
}

output "assign_public_ip" {
  description = "Whether agents in these subnets need public addresses to reach anything outside."
  value       = var.nat == "none"
}

output "s3_endpoint_id" {
  description = "The gateway endpoint that leads to the bucket."
  value       = aws_vpc_endpoint.s3.id
}
