"""What is wrong is in the first sentence of the page, for somebody who sees a company's forty repositories and twelve pools."""
import time

import incidents
import organization
import test_page


class FirstSentence(test_page.PageTest):
    def first_sentence(self, kind):
        """What the page shows first, up to the list of pools."""
        company = incidents.Company(self.new_folder(), organization.Organization(kind, time.time(), hours=1.1, minutes=10))
        self.addCleanup(company.stop)
        company.start()
        browser = self.page(company.daemon)
        words = browser.wait("return (/^Now\\s+([^]*?)\\s+Pools in trouble/.exec(document.getElementById('main').innerText) || [])[1]",
                             what="the first sentence")
        return words, browser.text("main")

    def test_a_dead_pool_is_named_with_what_to_look_at(self):
        words, all_words = self.first_sentence("dead")
        self.assertRegex(words, r"gpu-a100 is dead: \d+ jobs wait, nothing has started since (\d+ \w+ )?\d\d:\d\d\.\s+See whether its runners are online ")
        self.assertEqual(all_words.count("See whether its runners are online"), 1)

    def test_the_ceiling_is_named_and_that_runners_do_not_help(self):
        words, all_words = self.first_sentence("ceiling")
        self.assertRegex(words, r'^The ceiling "hosted" \(40 jobs at once\) is reached since \d\d:\d\d: \d+ jobs of 4 pools wait\.\s+Cancel unneeded runs')
        self.assertEqual(words.count("since"), 1)
        self.assertNotIn(" fills ", words)
        self.assertEqual(all_words.count("More runners of these pools would not help"), 1)  # of four pools

    def test_a_repository_that_floods_is_named_if_all_of_the_oldest_jobs_are_its_own(self):
        words, _ = self.first_sentence("flood")
        self.assertIn("acme/monorepo fills linux,self-hosted,x64 since ", words)
