/* config_free(): the way back from config_load(), also from where it stopped half-way. */
#include <stdlib.h>
#include <unistd.h>

#include "config/model.h"

static void free_file(struct config_file *file)
{
	free(file->path);
	if (file->fd != -1)
		close(file->fd);
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

static void free_words(struct config_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i].text);
	free(words->list);
}

static void free_certificate(struct config_certificate *certificate)
{
	free(certificate->name);
	free_file(&certificate->chain);
	free_file(&certificate->key);
	free_texts(certificate->server_names, certificate->server_name_count);
}

static void free_listener(struct config_listener *listener)
{
	for (size_t i = 0; i < listener->address_count; i++)
		free(listener->addresses[i].text);
	for (size_t i = 0; i < listener->certificate_count; i++)
		free_certificate(&listener->certificates[i]);
	free(listener->addresses);
	free(listener->certificates);
	free(listener->name);
	free(listener->ciphers);
	free(listener->health_path);
}

static void free_upstream(struct config_upstream *upstream)
{
	for (size_t i = 0; i < upstream->endpoint_count; i++) {
		free(upstream->endpoints[i].text);
		free(upstream->endpoints[i].host);
		free(upstream->endpoints[i].path_prefix);
	}
	for (size_t i = 0; i < upstream->header_count; i++) {
		free(upstream->headers[i].name);
		free(upstream->headers[i].value);
	}
	for (size_t i = 0; i < upstream->source_count; i++)
		free(upstream->sources[i].text);
	free(upstream->sources);
	free(upstream->endpoints);
	free(upstream->headers);
	free(upstream->name);
	free(upstream->host);
	free_file(&upstream->ca);
	free(upstream->basic_user);
	free_file(&upstream->basic_password);
	free(upstream->health_path);
	free(upstream->spn);
	free(upstream->login_user);
}

static void free_kerberos(struct config_kerberos *kerberos)
{
	free(kerberos->realm);
	free(kerberos->account);
	free_file(&kerberos->keytab);
	free_words(&kerberos->kdcs);
}

static void free_minted(struct config_minted *minted)
{
	free_file(&minted->issuer);
	free_file(&minted->key);
	free_file(&minted->pin);
	free(minted->key_uri);
	free(minted->pkcs11_module);
	free_words(&minted->pkcs11_paths);
	free(minted->crl_url);
}

static void free_bearer(struct config_bearer *bearer)
{
	free_file(&bearer->ca);
	free_file(&bearer->client_secret);
	free_file(&bearer->key);
	free_file(&bearer->certificate);
	free(bearer->endpoint);
	free(bearer->client_id);
	free(bearer->issuer);
	free(bearer->audience);
	free(bearer->subject);
	free(bearer->name_format);
	free_words(&bearer->attributes);
	free(bearer->scope);
	free(bearer->key_id);
}

static void free_assertion(struct config_assertion *assertion)
{
	free_file(&assertion->key);
	free(assertion->header);
	free(assertion->key_id);
	free(assertion->issuer);
	free(assertion->audience);
}

static void free_directory(struct config_directory *directory)
{
	for (size_t i = 0; i < directory->url_count; i++) {
		free(directory->urls[i].text);
		free(directory->urls[i].host);
		free(directory->urls[i].path_prefix);
	}
	free(directory->urls);
	free_file(&directory->ca);
	free_file(&directory->bind_password);
	free_texts(directory->binding_attributes, directory->binding_attribute_count);
	free(directory->file);
	free(directory->bind_name);
	free(directory->keytab);
	free(directory->group_attribute);
	free(directory->base);
	free(directory->filter);
	free(directory->address_attribute);
	free(directory->mail_attribute);
	free(directory->upn_attribute);
	free(directory->sid_attribute);
	free(directory->control_attribute);
	free(directory->account_attribute);
}

static void free_autodiscover(struct config_autodiscover *autodiscover)
{
	for (size_t i = 0; i < autodiscover->redirect_count; i++) {
		free(autodiscover->redirects[i].from);
		free(autodiscover->redirects[i].to);
	}
	free(autodiscover->redirects);
	free(autodiscover->url);
	free(autodiscover->display_name);
}

void config_rule_clear(struct config_rule *rule)
{
	struct config_words *const lists[] = {&rule->mailbox, &rule->domain, &rule->group,
		&rule->issuer, &rule->certificate_policy, &rule->device, &rule->device_type,
		&rule->model, &rule->os, &rule->user_agent, &rule->protocol, &rule->source,
		&rule->time, &rule->command, &rule->class, &rule->does, &rule->recipient_domain,
		&rule->attachment, &rule->xpath, &rule->use, &rule->types, &rule->folders};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		free_words(lists[i]);
	free(rule->rate);
	free(rule->name);
	*rule = (struct config_rule){0};
}

static void free_policy(struct config_policy *policy)
{
	for (size_t i = 0; i < policy->rule_count; i++)
		config_rule_clear(&policy->rules[i]);
	free(policy->rules);
	free_words(&policy->use);
	free_texts(policy->groups, policy->group_count);
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->listener_count; i++)
		free_listener(&config->listeners[i]);
	free(config->listeners);
	free_upstream(&config->upstream);
	for (size_t i = 0; i < config->kerberos_count; i++)
		free_kerberos(&config->kerberos[i]);
	free(config->kerberos);
	free_minted(&config->minted);
	free_bearer(&config->bearer);
	free_assertion(&config->assertion);
	free_directory(&config->directory);
	free_autodiscover(&config->autodiscover);
	free_policy(&config->policy);
	free(config->devices.quarantine_subject);
	free_file(&config->devices.quarantine_text);
	free_file(&config->trust.store);
	free_texts(config->trust.policies, config->trust.policy_count);
	free(config->mailbox.names);
	free_texts(config->mailbox.domains, config->mailbox.domain_count);
	free_texts(config->identity_headers, config->identity_header_count);
	free(config->revocation.proxy);
	free(config->log.file);
	free(config->control_socket);
	free(config->state_directory);
	free(config->pid_file);
	free(config->group);
	free(config->user);
	free(config->path);
	free(config);
}
